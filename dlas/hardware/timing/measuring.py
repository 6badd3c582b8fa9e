"""Time a network by a protocol: rounds of sessions, one library after another.

    measure(library, inputs, target, config.Timing, yardsticks) -> measurement.Measurement
    measure_in_turn([libraries, …], inputs, target, config.Timing) -> [Measurement, …]

A library is timed in fresh processes. Those of all libraries that are to be compared take turns, so that the
pace of the board meets them all; and so does each library for another batch size, and the yardsticks.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dlas import config
from dlas.hardware.results import measurement, sequential
from dlas.hardware.results.comparison import MOST_SESSIONS, Comparison, Outcome
from dlas.hardware.results.measurement import ENOUGH_SESSIONS, Measurement
from dlas.hardware.sessions import runners
from dlas.hardware.timing.deployment import TIME_LIMIT_SECONDS, exclusive_board, session_result
from dlas.interfaces.targets.target import Target

ONLY_ONE: Mapping[int, Path] = MappingProxyType({})
"""Libraries for larger batches: none."""

Libraries = Mapping[int, Path]
"""The libraries of a network by the images of a run, of which 1 is the first."""


@dataclass(frozen=True)
class Yardstick:
    """A small network that is always the same, built for the target."""

    library: Path
    shape: tuple[int, ...]
    """Shape of its input: (1, C, H, W)."""


NO_YARDSTICKS: Mapping[str, Yardstick] = MappingProxyType({})


def can_be_judged(measured: Measurement) -> bool:
    """Whether a redeployment that goes as this measurement went would be told to be the same."""
    return Comparison(measured, measured).outcome is Outcome.SAME


def measure(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    protocol: config.Timing,
    yardsticks: Mapping[str, Yardstick] = NO_YARDSTICKS,
    larger: Libraries = ONLY_ONE,
    *,
    runner: str = runners.TVM,
    is_enough: Callable[[Measurement], bool] = can_be_judged,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Measurement:
    """The latency of the first of `inputs` by `protocol`, in fresh processes that hold the board alone.

    `larger` holds libraries for larger batches of them, by size. A protocol with a budget goes on within it
    until `is_enough`. `runner` is the name of what runs the libraries. Waits while another process times on
    the board.

    Raises UserError where a library doesn't fit its board, can't be loaded, crashes, or takes longer than
    `time_limit` seconds in a session; and where the board can't be reached, or is lost on the way.
    """
    (found,) = measure_in_turn(
        [{1: library, **larger}],
        inputs,
        target,
        protocol,
        yardsticks,
        runner=runner,
        is_enough=lambda measured: is_enough(measured[0]),
        time_limit=time_limit,
    )
    return found


def measure_in_turn(
    networks: Sequence[Libraries],
    inputs: np.ndarray,
    target: Target,
    protocol: config.Timing,
    yardsticks: Mapping[str, Yardstick] = NO_YARDSTICKS,
    *,
    runner: str = runners.TVM,
    is_enough: Callable[[Sequence[Measurement]], bool],
    time_limit: float = TIME_LIMIT_SECONDS,
) -> list[Measurement]:
    """A measurement of each network, as `measure` makes that of one: a round holds a session of every
    library, and the networks begin it in turn."""
    rounds = _Rounds(networks, runner, inputs, target, protocol, yardsticks, time_limit)
    first = max(protocol.sessions, ENOUGH_SESSIONS)
    with exclusive_board(target):
        start = time.monotonic()
        while True:
            rounds.take()
            spent = time.monotonic() - start
            if rounds.taken < protocol.sessions:
                continue
            if rounds.taken >= max(first, MOST_SESSIONS) or spent * (1 + 1 / rounds.taken) > protocol.budget:
                break
            if sequential.is_due(rounds.taken, first, MOST_SESSIONS) and is_enough(rounds.measured()):
                break
    return rounds.measured()


class _Rounds:
    """Rounds of sessions, as they are taken."""

    def __init__(
        self,
        networks: Sequence[Libraries],
        runner: str,
        inputs: np.ndarray,
        target: Target,
        protocol: config.Timing,
        yardsticks: Mapping[str, Yardstick],
        time_limit: float,
    ) -> None:
        self._networks, self._runner = networks, runner
        self._inputs, self._target = inputs, target
        self._protocol, self._yardsticks, self._time_limit = protocol, yardsticks, time_limit
        self._found: list[dict[int, list[dict[str, Any]]]] = [{size: [] for size in one} for one in networks]
        self._beside: dict[str, list[dict[str, Any]]] = {name: [] for name in yardsticks}
        self.taken = 0

    def take(self) -> None:
        """Take one more round."""
        runs = {"runs": self._protocol.runs, "warmup": self._protocol.warmup}
        if self._yardsticks:
            shapes = [list(one.shape) for one in self._yardsticks.values()]
            libraries = [one.library for one in self._yardsticks.values()]
            told = [str(library.absolute()) for library in libraries]
            order = {"command": "yardsticks", **runs, "libraries": told, "shapes": shapes}
            sessions = self._session(libraries[0], np.zeros(0), order)["found"]
            for name, session in zip(self._yardsticks, sessions, strict=True):
                self._beside[name].append(session)
        order = {"command": "time", "runner": self._runner, **runs, "cold": self._protocol.cold}
        turns = list(zip(self._networks, self._found, strict=True))
        place = self.taken % len(turns)
        for libraries_of, found in (*turns[place:], *turns[:place]):
            for size, library in libraries_of.items():
                images = np.resize(self._inputs, (size, *self._inputs.shape[1:]))
                found[size].append(self._session(library, images, order))
        self.taken += 1

    def measured(self) -> list[Measurement]:
        """The measurements of the rounds that were taken."""
        emulated = self._target.placement.emulated
        return [
            measurement.of_sessions(found, self._beside, self._protocol, emulated=emulated)
            for found in self._found
        ]

    def _session(self, library: Path, inputs: np.ndarray, order: Mapping[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
            result = session_result(
                Path(folder), "session.json", self._target, library, inputs, order, self._time_limit
            )
            found: dict[str, Any] = json.loads(result.read_text())
            return found
