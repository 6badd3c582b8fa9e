"""One pace for points that were timed at different ones.

    at_one_pace(points) -> the points, those of each machine brought to one pace where that tells more of them
    notes(points)       -> what a reader of their latencies has to know of it

Minutes and hours lie between the points of a sweep, and the machine's pace moves meanwhile: points of one
and the same library then differ by more than their own sessions do. Beside every session yardsticks are
timed, networks that are always the same: what moves them from session to session and from point to point is
the machine. So each session is divided by what they took beside it over what they typically take.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from dlas.analysis.intervals import has_sessions, place
from dlas.analysis.measured_point import MeasuredPoint, Pace
from dlas.analysis.phrases import counted, listed, percent
from dlas.analysis.statistics import one_way
from dlas.analysis.statistics.noise import NO_DRIFT, Drift, Vector
from dlas.hardware.results.statistics import CONFIDENCE

MACHINE = ("dlas.cpu", "dlas.machine", "dlas.yardsticks")
"""Tags of a point that tell whether another was timed on the same machine beside the same yardsticks: its
CPU, its cores and memory, the content of the yardsticks' libraries."""

Beside = Mapping[str, Sequence[Vector]]
"""By yardstick, of each point, the logarithms of what the yardstick took beside each of its sessions."""


@dataclass(frozen=True)
class Clock:
    """What tells the pace."""

    yardsticks: tuple[str, ...]
    """The yardsticks whose mean tells it; with none, latencies stay as they were measured."""
    drift: Drift
    """What they leave open."""
    reach: float
    """Half of the interval of a point's mean log latency, by its sessions and by the drift."""


def at_one_pace(points: Sequence[MeasuredPoint]) -> list[MeasuredPoint]:
    """The points in their order, each at the pace that is typical of all that were timed beside the same
    yardsticks on its machine, where that tells more of them; the others as they were measured.

    It begins with what was measured: points that were brought to one pace before are brought to this.
    """
    found = [replace(point, pace=None) for point in points]
    for positions in _together(found):
        paces = _paces([found[position] for position in positions])
        for position, pace in zip(positions, paces, strict=True):
            found[position] = replace(found[position], pace=pace)
    return found


def clock(sessions: Sequence[Vector], beside: Beside) -> Clock:
    """The clock by which the means of two points or more are known best: no yardstick, or those that the
    networks follow best from session to session, which are one of them or all together. `sessions` are the
    logarithms of the points' own sessions.

    Yardsticks are not chosen by their drift: of few points it is little known, and the least of several would
    be too small.
    """
    clocks = [_clock(sessions, beside, ())]
    if len(beside) > 1:
        each = [*((name,) for name in beside), tuple(beside)]
        followed = min(each, key=lambda names: one_way.analysis(_less(sessions, told(beside, names))).within)
        clocks.append(_clock(sessions, beside, followed))
    return min(clocks, key=lambda one: one.reach)


def drift(sessions: Sequence[Vector], beside: Beside, by: Sequence[str]) -> Drift:
    """What is not known of the pace by these yardsticks, or where these are none, of how it moved.

    The networks are one more kind of work: how far they leave the pace that `by` tells is taken to be as far
    as a yardstick does. So each yardstick in turn is taken for a network, and its pace told by the others of
    `by` (a cross-validation that leaves one out: Stone 1974). As it is always the same library, the means
    over the sessions of each point should then be alike but for their scatter. By how much they are not is
    the variance between the points of a one-way analysis of variance (Searle, Casella and McCulloch 1992,
    Variance Components, section 3.6). Of several yardsticks the mean counts, each by how alike the networks
    are to it: by the inverse of the variance, within points, of the sessions' ratios to it. Without a clock
    it counts only where the yardsticks moved by more than chance, at `CONFIDENCE` by Bonferroni.
    """
    taken = {
        name: one_way.analysis(_less(logs, told(beside, others)))
        for name, logs in beside.items()
        if (others := [other for other in by if other != name]) or not by
    }
    found = [*taken.values()]
    if not by and min(one.p_value for one in found) > (1 - CONFIDENCE) / len(found):
        return NO_DRIFT
    unlike = [one_way.analysis(_less(sessions, beside[name])).within for name in taken]
    alike = 1 / np.maximum(unlike, np.finfo(float).eps)
    between = float(np.average([one.between for one in found], weights=alike))
    within = float(np.average([one.within for one in found], weights=alike))
    several = len(by) - 1 if len(by) == len(beside) else 1
    variance = max(0.0, (between - within) / found[0].size)
    return Drift(variance, several * found[0].freedom_between)


def told(beside: Beside, by: Sequence[str]) -> list[Vector]:
    """The logarithm of the pace beside each session of each point, as the mean of these yardsticks tells it;
    0 everywhere where there are none of them."""
    if not by:
        return [np.zeros(len(logs)) for logs in next(iter(beside.values()))]
    return [np.mean(of_point, axis=0) for of_point in zip(*(beside[name] for name in by), strict=True)]


def notes(points: Sequence[MeasuredPoint]) -> list[str]:
    """Lines about the pace of these points, as sentences without an end; none where all are as they were
    measured and could have been brought to one pace."""
    several = len({place(point) for point in points}) > 1
    paces = {(place(point), point.pace.moved): point.pace for point in points if point.pace}
    lines = [
        f"latencies{f' on {target}' if several else ''} {_brought(pace)}: the machine's pace moved by up to "
        f"{percent(pace.moved - 1)} between these points{_open(pace.drift)}"
        for ((target, _), _), pace in paces.items()
    ]
    timed = [point for point in points if point.timed]
    without = sum(not point.yardstick_ratios and (bool(lines) or has_sessions(point)) for point in timed)
    if without and len(timed) > 1:
        lines.append(
            f"each at the pace of its moment: {counted(without, 'point')} without yardsticks beside the "
            "sessions, or whose run, of an earlier version, doesn't tell them"
        )
    return lines


def _brought(pace: Pace) -> str:
    if not pace.yardsticks:
        return "as they were measured, as no yardstick follows them"
    several = "s" * (len(pace.yardsticks) > 1)
    return f"at one pace, by the yardstick{several} {listed(pace.yardsticks)}"


def _open(drift: Drift) -> str:
    if not drift.variance:
        return ""
    deviation = math.expm1(math.sqrt(drift.variance))
    return f"; intervals allow for a standard deviation of {percent(deviation)} that they don't tell"


def _clock(sessions: Sequence[Vector], beside: Beside, yardsticks: tuple[str, ...]) -> Clock:
    own = one_way.analysis(_less(sessions, told(beside, yardsticks)))
    left = drift(sessions, beside, yardsticks)
    noise = own.within / own.size
    variance = noise + left.variance
    if not variance:
        return Clock(yardsticks, left, 0.0)
    freedom = variance**2 / (noise**2 / own.freedom_within + left.variance**2 / left.freedom)
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Clock(yardsticks, left, reach)


def _less(logs: Sequence[Vector], paces: Sequence[Vector]) -> list[Vector]:
    return [of_point - pace for of_point, pace in zip(logs, paces, strict=True)]


def _together(points: Sequence[MeasuredPoint]) -> list[list[int]]:
    """Positions of the timed points that have enough sessions, by their place, machine and yardsticks; of one
    alone there is nothing to tell."""
    found: dict[object, list[int]] = defaultdict(list)
    for position, point in enumerate(points):
        ratios, sessions = point.yardstick_ratios, len(point.session_medians_ms)
        if point.timed and has_sessions(point) and {len(each) for each in ratios.values()} == {sessions}:
            machine = tuple(point.tags.get(tag, "") for tag in MACHINE)
            found[place(point), machine, tuple(sorted(ratios))].append(position)
    return [positions for positions in found.values() if len(positions) > 1]


def _paces(points: Sequence[MeasuredPoint]) -> list[Pace | None]:
    sessions = [np.log(point.session_medians_ms) for point in points]
    beside = {
        name: _less(sessions, [np.log(point.yardstick_ratios[name]) for point in points])
        for name in points[0].yardstick_ratios
    }
    best = clock(sessions, beside)
    if not best.yardsticks and not best.drift.variance:
        return [None] * len(points)
    shown = told(beside, best.yardsticks or tuple(beside))
    moved = math.exp(np.ptp([pace.mean() for pace in shown]))
    paces = told(beside, best.yardsticks)
    typical = float(np.median([pace.mean() for pace in paces]))
    return [
        Pace(best.yardsticks, tuple(np.exp(pace - typical).tolist()), moved, best.drift) for pace in paces
    ]
