"""Two measurements of one point side by side: the ratio of their medians and what can be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from dlas.hardware.results import statistics
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.statistics import Interval

SAME_WITHIN = 1.05
"""Ratio below which two medians count as the same: the place of data in memory can move one
session as much."""


ENOUGH_SESSIONS = 4
"""Minimum number of sessions on each side: with fewer, no outcome of a rank test has a p-value below 0.05 (2
/ C(8, 4) = 0.029)."""

SIGNIFICANCE = 0.05

MACHINE = ("cpu", "cores", "memory_bytes")
"""Parts of an environment that tell machines apart."""


class Outcome(Enum):
    """Verdict on the newer measurement."""

    SAME = "same"
    SLOWER = "slower"
    FASTER = "faster"
    UNCLEAR = "can't tell"


@dataclass(frozen=True)
class Comparison:
    """The measurement `new` against `old`, by the medians of their sessions, or by their samples where
    sessions are too few."""

    old: Measurement
    new: Measurement

    @property
    def enough_sessions(self) -> bool:
        """Whether there are enough sessions on both sides to tell a difference from the spread between
        sessions of one library."""
        return min(len(self.old.sessions), len(self.new.sessions)) >= ENOUGH_SESSIONS

    @property
    def ratio(self) -> float:
        """New median over old: above 1 is slower."""
        return statistics.ratio_of_medians(*self._compared)

    @cached_property
    def interval(self) -> Interval:
        """The confidence interval of the ratio: over sessions where there are enough, else over samples."""
        return statistics.ratio_interval(*self._compared)

    @cached_property
    def p_value(self) -> float | None:
        """P-value of the Mann-Whitney test on the medians of the sessions; None where they are too few."""
        return statistics.mann_whitney(*self._compared) if self.enough_sessions else None

    @property
    def _compared(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.enough_sessions:
            return self.new.session_medians_ms, self.old.session_medians_ms
        return self.new.samples_ms, self.old.samples_ms

    @cached_property
    def board_interval(self) -> Interval | None:
        """Confidence interval of the yardstick's ratio, now over then: the board's own pace. None where
        it was not timed."""
        then, now = self.old.yardstick_medians_ms, self.new.yardstick_medians_ms
        return statistics.ratio_interval(now, then) if then and now else None

    @property
    def board_ratio(self) -> float | None:
        """Ratio of the yardstick's medians over sessions, now over then; None where it was not timed."""
        then, now = self.old.yardstick_medians_ms, self.new.yardstick_medians_ms
        return statistics.ratio_of_medians(now, then) if then and now else None

    @property
    def same_machine(self) -> bool:
        """Whether both sides ran on the same CPU, with as many cores and as much memory."""
        then, now = self.old.environment, self.new.environment
        return all(then.get(part) == now.get(part) for part in MACHINE)

    @property
    def comparable(self) -> bool:
        """Whether the two may be compared: emulated times are compared with no real ones."""
        return self.old.emulated == self.new.emulated

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The reasons not to trust one of the two sides."""
        then = (f"then {reason}" for reason in self.old.unsteady)
        now = (f"now {reason}" for reason in self.new.unsteady)
        return (*then, *now)

    @property
    def outcome(self) -> Outcome:
        """The verdict: same, slower, faster, or that it can't be told."""
        return self._judged[0]

    @property
    def verdict(self) -> str:
        """`same`, `slower by a factor of …`, `faster by a factor of …`, or `can't tell: ` with the reason."""
        outcome, more = self._judged
        return f"{outcome.value}{more}"

    @cached_property
    def _judged(self) -> tuple[Outcome, str]:
        """The outcome, and what to add to its name.

        The same when the whole interval lies within `SAME_WITHIN`; slower or faster when it lies wholly on
        one side of 1 and the Mann-Whitney test agrees. A difference between few sessions, or on a board that
        did not hold still, is not laid to the library.
        """
        if not self.comparable:
            return Outcome.UNCLEAR, ": emulated times say nothing about real ones"
        low, high = self.interval.low, self.interval.high
        if low >= 1 / SAME_WITHIN and high <= SAME_WITHIN:
            return Outcome.SAME, ""
        reason = self._no_difference()
        if reason:
            return Outcome.UNCLEAR, f": {reason}"
        if low > 1:
            return Outcome.SLOWER, f" by a factor of {self.ratio:.2f}"
        return Outcome.FASTER, f" by a factor of {1 / self.ratio:.2f}"

    def _no_difference(self) -> str:
        """Why a difference can't be put down to the library; "" where it can."""
        if self.interval.low <= 1 <= self.interval.high:
            return f"the {'sessions' if self.enough_sessions else 'samples'} scatter too widely"
        if self.p_value is None:
            then, now = len(self.old.sessions), len(self.new.sessions)
            return (
                f"{then} session{'s' * (then > 1)} then and {now} now are too few, timing=thorough has enough"
            )
        if self.p_value >= SIGNIFICANCE:
            return f"sessions that differ so come about by chance (p = {self.p_value:.2g})"
        return "; ".join(self.unsteady) or self._change_of_pace()

    def _change_of_pace(self) -> str:
        """Why a difference may be the board's: on one machine a library's own shows beside the yardstick too.
        "" where it does."""
        then, now = self.old.paces, self.new.paces
        if not (then and now and self.same_machine):
            return ""
        paced = statistics.ratio_interval(now, then)
        if (paced.low > 1 and self.ratio > 1) or (paced.high < 1 and self.ratio < 1):
            return ""
        return f"the board's own pace differs, its yardstick took {self.board_ratio:.2f} times as long"
