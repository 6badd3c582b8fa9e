"""Ansor against MetaSchedule, at equal trials and at equal minutes, per network and algorithm.

    python benchmarks/tuners.py [--networks resnet18] [--algorithms direct gemm spatial_pack]
                                [--trials 256] [--minutes 5]

Every search starts from nothing. The untuned network and those by the schedules of each search take turns in
one process; figures are medians, as latency over the untuned network's.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import tuned
from layers import ALGORITHMS
from tuned import NETWORKS

from dlas import config
from dlas.hardware.target import Target, resolve
from dlas.systems.program import LoweredProgram
from dlas.systems.tuners import ansor, metaschedule
from dlas.systems.tuning_store import TuningStore, whole_lines

TUNERS = {"ansor": ansor, "metaschedule": metaschedule}
UNLIMITED = 1_000_000
"""Trials, where minutes are what is limited."""


@dataclass(frozen=True)
class Search:
    """What one tuner was given."""

    tuner: str
    trials: int
    seconds: float

    @property
    def name(self) -> str:
        limit = f"{self.seconds / 60:g} min" if self.trials == UNLIMITED else f"{self.trials} trials"
        return f"{self.tuner}, {limit}"

    def run(self, lowered: LoweredProgram, target: Target, folder: Path) -> tuple[str, Path]:
        """What became of it, and the network by its schedules, in the new `folder`."""
        folder.mkdir()
        tuner: ModuleType = TUNERS[self.tuner]
        settings = tuner.Settings(self.tuner, tuner.__name__, trials=self.trials, patience=self.trials)
        tasks, log = tuned.tasks(lowered), folder / "log.json"
        taken = self.seconds
        with suppress(_TimeIsUp), _alarm(self.seconds):
            taken = tuner.tune(tasks, target, settings, log, TuningStore(folder / "store")).seconds
        measured = len(whole_lines(log.read_text()))
        schedules = tuner.best_schedules(log, tasks, target)
        told = f"{measured} trials, {taken:.0f} s, {len(schedules.found)} of {len(tasks)} layers"
        return told, tuned.library(lowered, schedules, target, folder / "built")


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host"))
    print(f"{target.cores} threads, {target.cpu}; latency / untuned:")
    searches = [Search(name, options.trials, 24 * 3600) for name in TUNERS]
    if options.minutes:
        searches += [Search(name, UNLIMITED, options.minutes * 60) for name in TUNERS]
    for network in options.networks:
        for algorithm in options.algorithms:
            compare(network, algorithm, searches, target)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=5, help="0 to leave these searches out")
    return parser.parse_args()


def compare(network: str, algorithm: str, searches: list[Search], target: Target) -> None:
    """Print how each search did for the network."""
    lowered = tuned.program(network, algorithm)
    with TemporaryDirectory() as scratch:
        found = [
            search.run(lowered, target, Path(scratch) / str(index)) for index, search in enumerate(searches)
        ]
        libraries = [tuned.untuned(lowered, target, Path(scratch)), *(library for _, library in found)]
        untuned, *latencies = tuned.medians(libraries, network, target)
    print(f"\n{network} by {algorithm}: untuned {untuned:.2f} ms")
    for search, (told, _), latency in zip(searches, found, latencies, strict=True):
        print(f"  {search.name:28} {latency / untuned:.2f}  ({told})", flush=True)


class _TimeIsUp(Exception):
    """As Ctrl-C would, it ends a search that leaves what it measured."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """_TimeIsUp after so long."""

    def ring(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
