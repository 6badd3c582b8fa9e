"""Two measurements of one point side by side: the ratio of their medians and what can be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dlas.hardware import statistics
from dlas.hardware.measurement import Measurement
from dlas.hardware.statistics import Interval

SAME_WITHIN = 1.05
"""A factor of less is no difference: where memory happens to lie can move one session as much."""


@dataclass(frozen=True)
class Comparison:
    """`new` against `old`."""

    old: Measurement
    new: Measurement

    @property
    def ratio(self) -> float:
        """New median over old: above 1 is slower."""
        return statistics.ratio_of_medians(self.new.samples_ms, self.old.samples_ms)

    @cached_property
    def interval(self) -> Interval:
        """The confidence interval of the ratio."""
        return statistics.ratio_interval(self.new.samples_ms, self.old.samples_ms)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The reasons not to trust either side."""
        then = (f"then {reason}" for reason in self.old.unsteady)
        now = (f"now {reason}" for reason in self.new.unsteady)
        return (*then, *now)

    @property
    def verdict(self) -> str:
        """`same`, `slower by a factor of …`, `faster by a factor of …`, or `can't tell: ` with the reason.

        `same` when the whole interval lies within `SAME_WITHIN`, `slower` or `faster` when it lies wholly on
        one side of 1. A difference on a board that did not hold still is not laid to the library.
        """
        low, high = self.interval.low, self.interval.high
        if low >= 1 / SAME_WITHIN and high <= SAME_WITHIN:
            return "same"
        if low <= 1 <= high:
            return "can't tell: the samples scatter too widely"
        if self.unsteady:
            return f"can't tell: {'; '.join(self.unsteady)}"
        return (
            f"slower by a factor of {self.ratio:.2f}"
            if low > 1
            else f"faster by a factor of {1 / self.ratio:.2f}"
        )
