"""Intervals of latencies, and of ratios of two: what the spread between sessions allows to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.statistics import contrast
from dlas.analysis.statistics.contrast import Estimate
from dlas.hardware.results.comparison import SAME_WITHIN
from dlas.hardware.results.measurement import ENOUGH_SESSIONS
from dlas.hardware.results.statistics import Interval


@dataclass(frozen=True)
class Ratio:
    """The latency of one point over that of another: above 1 the first is slower."""

    value: float
    interval: Interval

    @property
    def resolved(self) -> bool:
        """Whether the measurement can tell the two apart."""
        return not self.interval.low <= 1 <= self.interval.high


def has_sessions(point: MeasuredPoint) -> bool:
    """Whether the point has enough sessions to tell their spread."""
    return len(point.session_medians_ms) >= ENOUGH_SESSIONS


def latency_interval(point: MeasuredPoint) -> Interval | None:
    """The confidence interval of a point's latency in milliseconds; None for a point without one.

    Over the logarithms of the sessions' medians, by Student's t, with what is not known of the machine's pace
    where the point was brought to one. With fewer than `ENOUGH_SESSIONS` it spans
    the interval over samples and what sessions there are, wider at both ends by the factor `SAME_WITHIN`, by
    which the place of data in memory alone can move a session. The latency itself always lies in it: that of
    runs of earlier versions, the median over the samples of all sessions, need not lie between the ends.
    """
    if point.latency_ms is None:
        return None
    if has_sessions(point):
        found = _over_sessions(point.estimate)
        return Interval(min(found.low, point.latency_ms), max(found.high, point.latency_ms))
    ends = [point.latency_ms, *point.session_medians_ms]
    ends += [end for end in (point.low_ms, point.high_ms) if end is not None]
    return Interval(min(ends) / SAME_WITHIN, max(ends) * SAME_WITHIN)


def latency_ratio(one: MeasuredPoint, other: MeasuredPoint) -> Ratio | None:
    """The ratio of two latencies, `one` over `other`; None where they may not be compared, or have none.

    Its interval is that of Welch (1947) for the difference of the means of the sessions' logarithms. Where
    one side has too few sessions, the ends of the two intervals of `latency_interval` give it.
    """
    if one.latency_ms is None or other.latency_ms is None or not comparable(one, other):
        return None
    if has_sessions(one) and has_sessions(other):
        found = product([one], [other])
        return Ratio(found.ratio, _over_sessions(found))
    mine, theirs = latency_interval(one), latency_interval(other)
    assert mine is not None
    assert theirs is not None
    interval = Interval(mine.low / theirs.high, mine.high / theirs.low)
    return Ratio(one.latency_ms / other.latency_ms, interval)


def product(over: Sequence[MeasuredPoint], under: Sequence[MeasuredPoint] = ()) -> Estimate:
    """The product of the latencies of some points over that of others, with what their sessions and the
    machine's pace leave open."""
    drifts = [point.drift for point in (*over, *under)]
    return contrast.of_sessions([point.logs for point in over], [point.logs for point in under], drifts)


def comparable(one: MeasuredPoint, other: MeasuredPoint) -> bool:
    """Whether the times of two points may be put in one ratio: both of one board, real or emulated."""
    return place(one) == place(other)


def place(point: MeasuredPoint) -> tuple[str, bool]:
    """The place where a point was timed: its target, and whether that was emulated."""
    return point.choices.get("target", ""), point.emulated


def without_ratio(one: MeasuredPoint, other: MeasuredPoint) -> str:
    """The reason why two points have no ratio of latencies, as a sentence's end; "" where they may have."""
    if one.emulated != other.emulated:
        return "one board is emulated and the other real: emulated times say nothing about real ones"
    targets = place(one)[0], place(other)[0]
    if targets[0] != targets[1]:
        known = [target or "one that is not known" for target in targets]
        return f"they were timed on different targets, {known[0]} and {known[1]}"
    untimed = [point.name for point in (one, other) if point.latency_ms is None]
    return f"{' and '.join(untimed)} has no latency" if untimed else ""


def _over_sessions(found: Estimate) -> Interval:
    """The interval of an estimate; one of no width where all sessions agree to the last digit."""
    return found.interval or Interval(found.ratio, found.ratio)
