"""The caller's own limit on how much slower a point may have become: `fail_above`."""

from __future__ import annotations

from enum import Enum

from dlas.hardware.results import statistics
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.statistics import Interval


class Judgement(Enum):
    """What the measurement shows of a ratio, now over then, and a limit."""

    WITHIN = "within"
    ABOVE = "above"
    UNDECIDED = "undecided"


WORST_FIRST = (Judgement.ABOVE, Judgement.UNDECIDED, Judgement.WITHIN)


def judged(comparison: Comparison, limit: float) -> Judgement:
    """Above where the verdict is slower and the whole confidence interval of the ratio lies above the limit;
    within where the whole interval lies at or below it. On one machine that is asked of the ratio beside the
    yardstick, too. Undecided where an interval holds the limit, and where the sessions are too few or the
    board did not hold still.

    This is the rule of a test for non-inferiority (E. Lesaffre, Superiority, equivalence, and non-inferiority
    trials, 2008): neither failing nor passing is what is left when nothing is known. With a limit of 1 above
    is the same as slower.
    """
    if not comparison.comparable:
        return Judgement.UNDECIDED
    intervals = _intervals(comparison)
    if comparison.outcome is Outcome.SLOWER and min(one.low for one in intervals) > limit:
        return Judgement.ABOVE
    steady = comparison.enough_sessions and not comparison.unsteady
    told = steady or comparison.outcome is not Outcome.UNCLEAR
    return Judgement.WITHIN if told and max(one.high for one in intervals) <= limit else Judgement.UNDECIDED


def _intervals(comparison: Comparison) -> list[Interval]:
    """The interval of the ratio, and that of the ratio beside the yardstick where it tells of one machine."""
    then, now = comparison.old.paces, comparison.new.paces
    beside = [statistics.ratio_interval(now, then)] if then and now and comparison.same_machine else []
    return [comparison.interval, *beside]
