"""Ansor against MetaSchedule, at equal trials and at equal minutes, per network and algorithm.

    python benchmarks/tuners.py [--networks resnet18] [--algorithms direct gemm spatial_pack]
                                [--trials 256] [--minutes 5]

Every search starts from nothing; one of so many minutes has the trials that, by the pace of the one before,
fit into them. The untuned network and those by the schedules of each search take turns in one process;
figures are medians, as latency over the untuned network's.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import tuned
from alarm import ended_after
from layers import ALGORITHMS
from tuned import NETWORKS

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.tuning_store import TuningStore, whole_lines
from dlas.systems.tuners.metaschedule import tuner as metaschedule

TUNERS = {"ansor": ansor, "metaschedule": metaschedule}


@dataclass(frozen=True)
class Searched:
    """A network by the schedules of one search."""

    name: str
    trials: int
    seconds: float
    layers: int
    library: Path


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host"))
    print(f"{target.placement.threads} threads, {target.code.cpu}; latency / untuned:")
    for network in options.networks:
        for algorithm in options.algorithms:
            compare(network, algorithm, options.trials, options.minutes * 60, target)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=5, help="0 to leave these searches out")
    return parser.parse_args()


def compare(network: str, algorithm: str, trials: int, seconds: float, target: Target) -> None:
    """Print how each search did for the network."""
    lowered = tuned.program(network, algorithm)
    with TemporaryDirectory() as scratch:
        found = []
        for tuner in TUNERS:
            limited = searched(tuner, lowered, trials, math.inf, target, Path(scratch) / tuner)
            found.append(limited)
            if seconds:
                fitting = round(seconds * limited.trials / limited.seconds)
                timed = Path(scratch) / f"{tuner}-timed"
                found.append(searched(tuner, lowered, fitting, seconds, target, timed))
        libraries = [tuned.untuned(lowered, target, Path(scratch)), *(one.library for one in found)]
        untuned, *latencies = tuned.medians(libraries, network, target)
    print(f"\n{network} by {algorithm}: untuned {untuned:.2f} ms")
    for one, latency in zip(found, latencies, strict=True):
        told = (
            f"{one.trials} trials in {one.seconds:.0f} s, {one.layers} of {len(tuned.tasks(lowered))} layers"
        )
        print(f"  {one.name:13} {latency / untuned:.2f}  {told}", flush=True)


def searched(
    tuner: str, lowered: LoweredProgram, trials: int, seconds: float, target: Target, folder: Path
) -> Searched:
    """Search until there are so many trials or so much time is gone, in the new `folder`."""
    folder.mkdir()
    module: ModuleType = TUNERS[tuner]
    settings = module.Settings(tuner, module.__name__, trials=trials, patience=trials)
    tasks, log = tuned.tasks(lowered), folder / "log.json"
    start = time.monotonic()
    with ended_after(seconds):
        module.tune(tasks, target, settings, log, TuningStore(folder / "store"))
    taken = time.monotonic() - start
    schedules = module.best_schedules(log, tasks, target.code)
    library = tuned.library(lowered, schedules, target, folder / "built")
    return Searched(tuner, len(whole_lines(log.read_text())), taken, len(schedules.found), library)


if __name__ == "__main__":
    main()
