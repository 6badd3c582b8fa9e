"""The caller's own limit on how much slower a point may have become: `fail_above`."""

from __future__ import annotations

from enum import Enum

from dlas.hardware.results.comparison import Comparison, Outcome


class Judgement(Enum):
    """What the measurement shows of a ratio, now over then, and a limit."""

    WITHIN = "within"
    ABOVE = "above"
    UNDECIDED = "undecided"


WORST_FIRST = (Judgement.ABOVE, Judgement.UNDECIDED, Judgement.WITHIN)


def judged(comparison: Comparison, limit: float) -> Judgement:
    """Above where the verdict is slower and the whole confidence interval of the ratio lies above the limit,
    as the ratio in milliseconds does; within where the whole interval lies at or below it. Undecided where
    the interval holds the limit, where the sessions are too few, and where the board did not hold still and
    neither a yardstick nor the stored library beside them tells by how much.

    This is the rule of a test for non-inferiority (E. Lesaffre, Superiority, equivalence, and non-inferiority
    trials, 2008): neither failing nor passing is what is left when nothing is known. With a limit of 1 above
    is the same as slower.
    """
    if not comparison.comparable:
        return Judgement.UNDECIDED
    low, high = comparison.interval.low, comparison.interval.high
    if comparison.outcome is Outcome.SLOWER and min(low, comparison.raw_ratio) > limit:
        return Judgement.ABOVE
    told = comparison.only_scatters or comparison.outcome is not Outcome.UNCLEAR
    return Judgement.WITHIN if told and high <= limit else Judgement.UNDECIDED


def is_open(comparison: Comparison, limit: float) -> bool:
    """Whether it is undecided yet, and further sessions might decide it."""
    might = comparison.is_open or comparison.outcome is not Outcome.UNCLEAR
    undecided = judged(comparison, limit) is Judgement.UNDECIDED
    return undecided and comparison.enough_sessions and might
