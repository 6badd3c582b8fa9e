"""The samples of one network in its session, and what was observed while they were taken."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.hardware.sessions import cores, tvm_runtime
from dlas.hardware.sessions.observers import counts, disturbance, energy, footprint
from dlas.hardware.sessions.observers.footprint import Start
from dlas.hardware.sessions.process.turns import Turns
from dlas.hardware.targets import caches, run_environment, steadiness
from dlas.hardware.targets.steadiness import State

if TYPE_CHECKING:
    from dlas.interfaces.runner import LoadedNetwork


@dataclass(frozen=True)
class Loaded:
    """A network that its runtime has loaded."""

    network: LoadedNetwork
    start: Start
    environment: Mapping[str, Any]
    """Environment of the process as it was found, before its threads were kept apart."""


class Samples:
    """A network that is warm, and the samples of its runs on all inputs at once."""

    def __init__(
        self,
        loaded: Loaded,
        inputs: np.ndarray,
        warmup: int,
        turns: Turns,
        sysfs: Path = energy.SYSFS,
    ) -> None:
        """Run the network for the first time, and `warmup` times more."""
        self._loaded, self._network, self._turns = loaded, loaded.network, turns
        self._image = self._network.put(inputs)
        gc.collect()
        gc.disable()
        self._begun = self._state()
        with cores.kept_apart():
            self._first_ns = self._nanoseconds()
        self._ran = footprint.resident_bytes()
        for _ in range(warmup):
            self._run()
        self._samples_ns: list[int] = []
        self._joules: Counter[str] = Counter()
        self._meters, self._counted = energy.Meters(sysfs), counts.OverSamples()
        self._watch = disturbance.Watch()
        self._watch.start()

    def take(self, count: int) -> None:
        """Take so many more samples."""
        for _ in range(self._turns.unkept):
            self._network.run(self._image)
        self._meters.start()
        with self._counted:
            for _ in range(count):
                self._samples_ns.append(self._nanoseconds())
                self._meters.sample()
        self._joules.update(self._meters.joules())

    def told(self, cold: int) -> dict[str, Any]:
        """The session as JSON, with `cold` samples of runs that each find the caches full of another array,
        taken now."""
        over_samples, disturbed, after = self._counted.told(), self._watch.told(), self._state()
        peak = footprint.peak_bytes()  # what cold runs fill the caches with is none of the network's
        cold_ns = self._cold_nanoseconds(cold) if cold else []
        missing = self._network.uncounted
        of_runs = counts.none(missing) if missing else counts.on_one_thread(self._run)
        # An emulated board sees its host's meters, and its emulator's memory and counts.
        own = {"joules": self._joules, "disturbance": disturbed, "counts": {**over_samples, **of_runs}}
        return {
            "first_ns": self._first_ns,
            "samples_ns": self._samples_ns,
            "cold_ns": cold_ns,
            **(own if run_environment.emulator() is None else {}),
            "before": asdict(self._begun),
            "after": asdict(after),
            "footprint": asdict(self._loaded.start.footprint(self._ran, peak)),
            "threads": tvm_runtime.threads(),
            "emulated": run_environment.emulator() is not None,
            "environment": {**self._loaded.environment, **self._network.describe()},
        }

    def _state(self) -> State:
        """The state of the machine, to which what the sessions beside this one take is no other work."""
        found = steadiness.state()
        return replace(found, own_seconds=found.own_seconds + self._turns.others_seconds)

    def _run(self) -> None:
        self._network.run(self._image)

    def _nanoseconds(self) -> int:
        start = time.perf_counter_ns()
        self._network.run(self._image)
        return time.perf_counter_ns() - start

    def _cold_nanoseconds(self, runs: int) -> list[int]:
        other = np.zeros(caches.largest_bytes(), np.uint8)
        samples = []
        for _ in range(runs):
            other += 1
            self._network.fill_caches(other)
            samples.append(self._nanoseconds())
        return samples
