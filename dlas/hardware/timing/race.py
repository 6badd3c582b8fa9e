"""Time several libraries of one network against each other, in one fresh process, taking turns.

Sessions differ by more than what one of them varies by, so libraries that are to be compared share one. What
is compared are pairs of turns that followed each other: `Turns.over`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dlas.hardware.results import statistics
from dlas.hardware.results.statistics import Interval
from dlas.hardware.targets import steadiness
from dlas.hardware.targets.steadiness import Unsteadiness
from dlas.hardware.timing.deployment import exclusive_board, session_result
from dlas.hardware.timing.single_kernels import NS_PER_MS
from dlas.interfaces.targets.target import Target

RUNS = 3
"""Runs of each library in a turn: few, so that the next ones' turns find the machine's pace the same."""

RESOLVED = 0.97
"""Share of another network's time below which one counts as faster in a race: identical libraries have been
seen to differ by 1 to 7 % in one process on a shared machine, mostly by less than 3, since their data lies
elsewhere in memory."""


@dataclass(frozen=True)
class Turns:
    """The times of a network, or of a kernel in it, in each of its turns."""

    ms: tuple[float, ...]
    """Milliseconds, the median of each turn's runs; the turns of others in the race have the same places."""

    @cached_property
    def median_ms(self) -> float:
        return statistics.median(self.ms)

    def over(self, other: Turns) -> Interval:
        """The interval of the ratio of these times to those of `other`: below 1 these are shorter."""
        return statistics.paired_ratio_interval(self.ms, other.ms)

    def beats(self, other: Turns, share: float = 1.0) -> bool:
        """Whether the whole interval of the ratio says that this takes less than `share` of the other's
        time."""
        return self.over(other).high < share


@dataclass(frozen=True)
class Call:
    """One kernel call of a network."""

    kernel: str
    turns: Turns


@dataclass(frozen=True)
class Contender:
    """The times of one library in a race."""

    turns: Turns
    """Turns of the whole network."""
    calls: list[Call]
    """Every kernel call, in order."""

    @property
    def median_ms(self) -> float:
        """Milliseconds of the whole network."""
        return self.turns.median_ms


@dataclass(frozen=True)
class Race:
    """A race, and the reasons to doubt it."""

    contenders: list[Contender]
    unsteadiness: tuple[Unsteadiness, ...]


def race(libraries: Sequence[Path], inputs: np.ndarray, target: Target) -> Race:
    """The times of each library on the first of `inputs`; UserError where one of them crashes."""
    order = {"command": "race", "libraries": [os.fspath(path.absolute()) for path in libraries], "runs": RUNS}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board(target):
        result = session_result(Path(folder), "race.json", target, libraries[0], inputs[:1], order)
        found = json.loads(result.read_text())
    contenders = [
        Contender(
            turns=_turns(library["samples_ns"]),
            calls=[Call(call["kernel"], _turns(call["samples_ns"])) for call in library["calls"]],
        )
        for library in found["found"]
    ]
    return Race(contenders, steadiness.told_unsteadiness(found))


def simplest(timed: Sequence[Turns], share: float = 1.0) -> int:
    """The place of the first that the fastest does not beat: `timed` has the simplest one first."""
    fastest = min(timed, key=lambda turns: turns.median_ms)
    kept = (place for place, turns in enumerate(timed) if turns is fastest or not fastest.beats(turns, share))
    return next(kept)


def together(turns: Sequence[Turns]) -> Turns:
    """The times of several kernels of one network, added turn by turn."""
    return Turns(tuple(map(sum, zip(*(one.ms for one in turns), strict=True))))


def _turns(samples_ns: Sequence[int]) -> Turns:
    turns = [samples_ns[start : start + RUNS] for start in range(0, len(samples_ns), RUNS)]
    return Turns(tuple(statistics.median(one) / NS_PER_MS for one in turns))
