"""What the processor counted while a session ran a network, and what it says of two measurements.

The instructions of a run hardly depend on what else a machine does: of one program, those of user code differ
by far less than a per cent (V. Weaver, D. Terpstra, S. Moore, Non-determinism and overcount on modern
hardware performance counter implementations, ISPASS 2013). They tell that the code or its data changed where
the spread of times does not allow to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlas.hardware.results import statistics

SAME_CODE = 0.005
"""Largest change of the instructions of a run of one code: the interpreter's call of the network, which is
counted as well, varies by less of all but the smallest networks."""

MAX_COUNT = 1 << 62
MAX_COUNTED_RUNS = 1000

MHZ_PER_PER_NS = 1000


@dataclass(frozen=True)
class Counts:
    """Counts of the thread that calls the network, without what the kernel did for it; None for what could
    not be counted."""

    instructions: tuple[int, ...] = ()
    """Instructions of each of some runs after the samples, computed by this thread alone."""
    cycles: int | None = None
    """Cycles of its core, over all samples."""
    cache_misses: int | None = None
    """Misses of the cache that its kernel calls the last, over all samples."""
    task_clock_ns: int | None = None
    """Nanoseconds of the samples in which it had a core."""
    missing: str = ""
    """Why no instructions were counted; empty where they were."""

    @property
    def clock_mhz(self) -> float | None:
        """Clock of its core while it computed."""
        if not self.cycles or not self.task_clock_ns:
            return None
        return MHZ_PER_PER_NS * self.cycles / self.task_clock_ns

    @property
    def is_possible(self) -> bool:
        """Whether a session may have counted this."""
        optional = (self.cycles, self.cache_misses, self.task_clock_ns)
        totals = (*self.instructions, *(one for one in optional if one is not None))
        return len(self.instructions) <= MAX_COUNTED_RUNS and all(0 <= one <= MAX_COUNT for one in totals)


def instructions(sessions: Sequence[Counts]) -> tuple[int, ...]:
    """Instructions of every counted run of some sessions."""
    return tuple(run for one in sessions for run in one.instructions)


def of_a_run(sessions: Sequence[Counts], runs: int) -> dict[str, float]:
    """What there is of the instructions and cache misses of a run, and of the clock in MHz: medians over
    sessions of so many samples each."""
    clocks = [one.clock_mhz for one in sessions if one.clock_mhz is not None]
    misses = [one.cache_misses / runs for one in sessions if one.cache_misses is not None]
    found = {"instructions": instructions(sessions), "cache_misses": misses, "clock_mhz": clocks}
    return {name: statistics.median(values) for name, values in found.items() if values}


@dataclass(frozen=True)
class Change:
    """The instructions of a run, now over then."""

    ratio: float
    same: bool
    """Whether they are those of one code on one kind of data."""

    @property
    def told(self) -> str:
        """The change in words."""
        if self.same:
            return f"{self.ratio:.3f} times the instructions: the same code, to within {SAME_CODE:.1%}"
        return f"{self.ratio:.3f} times the instructions: the code or its data changed"


def change(then: Sequence[int], now: Sequence[int]) -> Change | None:
    """The change of the instructions of a run, from the counted runs of both sides; None where they were not
    counted, or scatter more widely than they differ while they are not the same."""
    if not then or not now or not min(*then, *now):
        return None
    ratio = statistics.ratio_of_medians(now, then)
    apart = max(then) < min(now) or max(now) < min(then)
    same = abs(ratio - 1) <= SAME_CODE
    return Change(ratio, same) if same or apart else None
