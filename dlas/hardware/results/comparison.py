"""Two measurements of one point side by side: the ratio of their times and what can be said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from dlas.hardware.results import difference, pace_change, processor_counts, sequential, statistics
from dlas.hardware.results.difference import Difference
from dlas.hardware.results.measurement import ENOUGH_SESSIONS, Measurement
from dlas.hardware.results.processor_counts import Change
from dlas.hardware.results.statistics import Interval

SAME_WITHIN = 1.05
"""Ratio below which the medians of single sessions count as the same: the place of data in memory can move
one session as much."""

NEGLIGIBLE = 1.005
"""Ratio that a difference must surely exceed to count as one. Copies of a library differ by as much, in all
sessions alike, by the places in memory where the kernel keeps the pages of their code (those of ResNet18 by a
standard deviation of 0.75 %): no number of sessions tells that from a difference of the libraries."""

MOST_SESSIONS = 24
"""Sessions after which there is no further look: by then each of them adds 1 % to what can be told."""

MACHINE, MEMORY, SAME_MEMORY = ("cpu", "cores"), "memory_bytes", 0.01
"""Parts of an environment that tell machines apart; the memory may differ by this share, as a kernel keeps
more or less of it for itself."""


class Outcome(Enum):
    """Verdict on the newer measurement."""

    SAME = "same"
    SLOWER = "slower"
    FASTER = "faster"
    UNCLEAR = "can't tell"


@dataclass(frozen=True)
class Comparison:
    """The measurement `new` against `old`.

    Where both have enough sessions, by these: each beside the other side's where they were `paired`, else, on
    one machine, by their ratio to the mix of yardsticks that the network followed best, else by their
    medians. Where sessions are too few, by the samples.
    """

    old: Measurement
    new: Measurement
    paired: bool = False
    """Whether each session of one side was taken in turn with one of the other, so that both met one pace."""
    among: int = 1
    """Number of comparisons, this one among them, that share one probability of error."""

    @property
    def enough_sessions(self) -> bool:
        """Whether there are enough sessions on both sides to tell a difference from the spread between
        sessions of one library."""
        return self.old.has_enough_sessions and self.new.has_enough_sessions

    @cached_property
    def mix(self) -> Mapping[str, float]:
        """The yardsticks beside which the two are compared, so many runs of each, as the older one's sessions
        tell; none where they are not compared so."""
        return self.old.mix(self.yardsticks) if not self.paired and self.same_machine else {}

    @property
    def ratio(self) -> float:
        """New time over old, of what is compared: above 1 is slower."""
        found = self._difference
        return statistics.ratio_of_medians(*self._samples) if found is None else found.ratio

    @cached_property
    def interval(self) -> Interval:
        """The confidence interval of the ratio: over sessions, and over all looks at them, where there are
        enough, else over samples."""
        found = self._difference
        return statistics.ratio_interval(*self._samples) if found is None else found.interval(self._level)

    @property
    def smallest_seen(self) -> float | None:
        """The ratio that would have been told from a negligible one four times in five; None where sessions
        are too few to tell any."""
        return None if self._difference is None else NEGLIGIBLE * self._difference.smallest_seen(self._level)

    @property
    def raw_ratio(self) -> float:
        """New median over old, whatever pace the board had."""
        return statistics.ratio_of_medians(self.new.session_medians_ms, self.old.session_medians_ms)

    @property
    def _samples(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.new.samples_ms, self.old.samples_ms

    @cached_property
    def _difference(self) -> Difference | None:
        if not self.enough_sessions:
            return None
        if self.paired:
            return difference.of_ratios(self.new.over(self.old.sessions))
        if not self.mix:
            return difference.of_groups(self.new.session_medians_ms, self.old.session_medians_ms)
        return self._beside(self.mix).less_sure(self._pace_doubt)

    @cached_property
    def _pace_doubt(self) -> float:
        """How little the mix tells of what the board's own pace did to the network."""
        return pace_change.doubt(self.old, self.new, self.mix)

    def _beside(self, mix: Mapping[str, float]) -> Difference:
        return difference.of_groups(self.new.mix_paces(mix), self.old.mix_paces(mix))

    @cached_property
    def _level(self) -> float:
        """The level of the last look: with a budget the newer side was looked at before."""
        count = len(self.new.sessions)
        if self.new.budget_seconds == 0:
            return sequential.ERROR / self.among
        looked_at = sequential.looks(max(self.new.least_sessions, ENOUGH_SESSIONS), count, MOST_SESSIONS)
        most = self._information(max(MOST_SESSIONS, count))
        information = [self._information(sessions) for sessions in looked_at]
        return sequential.levels(information, most, self.among)[-1]

    def _information(self, sessions: int) -> float:
        """Inverse of the variance with so many newer sessions, in a unit of its own."""
        return sessions if self.paired else 1 / (1 / sessions + 1 / len(self.old.sessions))

    @property
    def yardsticks(self) -> tuple[str, ...]:
        """The yardsticks that both sides have."""
        return tuple(name for name in self.old.yardsticks if name in self.new.yardsticks)

    def board_interval(self, yardstick: str) -> Interval:
        """Confidence interval of a yardstick's ratio, now over then: the board's own pace."""
        then, now = self.old.yardstick_medians_ms(yardstick), self.new.yardstick_medians_ms(yardstick)
        return statistics.ratio_interval(now, then)

    def board_ratio(self, yardstick: str) -> float:
        """Ratio of a yardstick's medians over sessions, now over then."""
        then, now = self.old.yardstick_medians_ms(yardstick), self.new.yardstick_medians_ms(yardstick)
        return statistics.ratio_of_medians(now, then)

    @property
    def same_machine(self) -> bool:
        """Whether both sides ran on the same CPU, with as many cores and about as much memory."""
        then, now = self.old.environment, self.new.environment
        memory = then.get(MEMORY) or 0, now.get(MEMORY) or 0
        return all(then.get(part) == now.get(part) for part in MACHINE) and math.isclose(
            *memory, rel_tol=SAME_MEMORY
        )

    @property
    def instructions(self) -> Change | None:
        """The change of the instructions of a run; None where they were not counted, or on other machines."""
        if not self.same_machine:
            return None
        then, now = (processor_counts.instructions(side.counts) for side in (self.old, self.new))
        return processor_counts.change(then, now)

    @property
    def comparable(self) -> bool:
        """Whether the two may be compared: emulated times are compared with no real ones."""
        return self.old.emulated == self.new.emulated

    @property
    def older(self) -> str:
        """The word for the older side: `then`, or `beside` where it is the stored library, timed now."""
        return "beside" if self.paired else "then"

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The reasons not to trust one of the two sides."""
        then = (f"{self.older} {reason}" for reason in self.old.unsteady)
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

    @property
    def is_open(self) -> bool:
        """Whether it can't be told yet, and further sessions might tell."""
        return self.outcome is Outcome.UNCLEAR and self.enough_sessions and not self._obstacle

    @property
    def only_scatters(self) -> bool:
        """Whether it can't be told for no other reason than the scatter of the sessions."""
        known = self.paired or bool(self.mix) or not self.unsteady
        return self.is_open and known and not self._differs

    @property
    def _differs(self) -> bool:
        """Whether the whole interval says that there is a difference worth the name."""
        return self.interval.low > NEGLIGIBLE or self.interval.high < 1 / NEGLIGIBLE

    @cached_property
    def _judged(self) -> tuple[Outcome, str]:
        """The outcome, and what to add to its name.

        Slower or faster when the whole interval lies beyond `NEGLIGIBLE`; the same when it lies within what
        the newer protocol takes for none.
        """
        if self._obstacle:
            return Outcome.UNCLEAR, f": {self._obstacle}"
        low, high = self.interval.low, self.interval.high
        within = 1 + self.new.same_within_percent / 100
        if low >= 1 / within and high <= within and not (self._differs and self.enough_sessions):
            return Outcome.SAME, ""
        reason = self._doubt() if self._differs else self._scatter()
        if reason:
            return Outcome.UNCLEAR, f": {reason}"
        if low > 1:
            return Outcome.SLOWER, f" by a factor of {self.ratio:.2f}"
        return Outcome.FASTER, f" by a factor of {1 / self.ratio:.2f}"

    @property
    def _obstacle(self) -> str:
        """Why no number of sessions could tell; "" where some could."""
        if not self.comparable:
            return "emulated times say nothing about real ones"
        then, now = self.old.threads, self.new.threads
        if self.same_machine and then != now:
            return f"it ran on {then} thread{'s' * (then > 1)} then and on {now} now"
        return ""

    def _scatter(self) -> str:
        """Why neither a difference nor its absence is seen."""
        if self.smallest_seen is None:
            return "the samples scatter too widely"
        seen = f"a difference by a factor of {self.smallest_seen:.2f} would have been seen"
        if self.mix and self._pace_doubt > self._beside(self.mix).error:
            told = " and ".join(f"{name} took {self.board_ratio(name):.2f}" for name in self.mix)
            return f"the board's own pace differs, its yardsticks {told} times as long, {seen}"
        return f"the sessions scatter too widely, {seen}"

    def _doubt(self) -> str:
        """Why a difference can't be put down to the library; "" where it can."""
        if not self.enough_sessions:
            then, now = len(self.old.sessions), len(self.new.sessions)
            return (
                f"{then} session{'s' * (then > 1)} then and {now} now are too few, timing=default has enough"
            )
        if self.mix:
            return self._change_of_pace()
        return "" if self.paired else "; ".join(self.unsteady)

    def _change_of_pace(self) -> str:
        """Why a difference may be the board's. A library's own shows in milliseconds too, and surely beside
        every yardstick that took another time than before, for the board's slows the network less than one of
        them and as much as another. "" where it does so."""
        if (self.ratio > 1) != (self.raw_ratio > 1):
            explaining = list(self.mix)
        else:
            explaining = [name for name in self.yardsticks if self._moved(name) and self._explains(name)]
        told = (f"{name} took {self.board_ratio(name):.2f} times as long" for name in explaining)
        found = ", ".join(told)
        return f"the board's own pace differs, its yardstick {found}" if found else ""

    def _explains(self, yardstick: str) -> bool:
        """Whether the network may have followed this yardstick alone, and not differ beside it."""
        beside = self._beside({yardstick: 1.0}).interval(self._level)
        return beside.low <= 1 if self.ratio > 1 else beside.high >= 1

    def _moved(self, yardstick: str) -> bool:
        """Whether a yardstick took another time than before by more than chance."""
        then, now = self.old.yardstick_medians_ms(yardstick), self.new.yardstick_medians_ms(yardstick)
        found = difference.of_groups(now, then).interval(sequential.ERROR)
        return not found.low <= 1 <= found.high
