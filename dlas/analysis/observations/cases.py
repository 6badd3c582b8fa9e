"""Cases of a claim: comparisons of points in each of which it holds, or doesn't, or that can't be told."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dlas.analysis import intervals
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.finding import Part, Verdict
from dlas.analysis.phrases import counted, percent, plain_times
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.statistics.proportion import most_where_none_was_seen, wilson
from dlas.hardware.results.comparison import SAME_WITHIN

SELDOM = 0.1
"""Part of all cases below which something counts as not happening."""


@dataclass(frozen=True)
class Case:
    """One comparison."""

    holds: bool | None
    """Whether the claim holds in it; None where that can't be told."""
    value: float
    """What was compared: a ratio of latencies, or a difference of accuracies."""
    runs: tuple[str, ...]
    unsteady: bool = False
    """Whether a board did not hold still."""


def contexts(
    points: Iterable[MeasuredPoint], apart: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], list[MeasuredPoint]]:
    """The timed points in groups that differ in nothing but the layers `apart` and their settings."""
    found: dict[tuple[tuple[str, str], ...], list[MeasuredPoint]] = defaultdict(list)
    for point in points:
        if point.timed:
            rest = {key: value for key, value in point.choices.items() if key.partition(".")[0] not in apart}
            found[tuple(sorted(rest.items()))].append(point)
    return found


def option(point: MeasuredPoint, layer: str) -> str:
    """The option that the point takes for a layer, with its settings: equal where these are."""
    settings = sorted(item for item in point.choices.items() if item[0].partition(".")[0] == layer)
    return " ".join(f"{key}={value}" for key, value in settings)


def by(points: Iterable[MeasuredPoint], layer: str) -> dict[str, MeasuredPoint]:
    """The points by their choice of a layer, with its settings; of several with the same, the last one."""
    return {option(point, layer): point for point in points}


def alike(points: Iterable[MeasuredPoint], layer: str) -> list[list[MeasuredPoint]]:
    """The points in groups with one choice of a layer, with its settings."""
    found: dict[str, list[MeasuredPoint]] = defaultdict(list)
    for point in points:
        found[option(point, layer)].append(point)
    return list(found.values())


def fastest(points: Iterable[MeasuredPoint]) -> MeasuredPoint | None:
    """The point with the lowest latency; None of none."""
    timed = [(one.latency_ms, one.run_id, one) for one in points if one.latency_ms is not None]
    return min(timed, key=lambda each: each[:2])[2] if timed else None


def ratio(over: Sequence[MeasuredPoint], under: Sequence[MeasuredPoint]) -> Estimate:
    """The product of the latencies of some points over that of others, with what their sessions and the
    machine's pace leave open."""
    return intervals.product(over, under)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The ratio times a number that is known."""
    return replace(estimate, log=estimate.log + math.log(factor))


def below_one(estimate: Estimate) -> bool | None:
    """Whether the ratio is below 1: by its interval, or where single sessions give none by more than
    `SAME_WITHIN`, as much as the place of data in memory can move one. None where that can't be told."""
    interval = estimate.interval
    low, high = (
        (estimate.ratio / SAME_WITHIN, estimate.ratio * SAME_WITHIN)
        if interval is None
        else (interval.low, interval.high)
    )
    return True if high < 1 else False if low > 1 else None


def above_one(estimate: Estimate) -> bool | None:
    """Whether the ratio is above 1, as `below_one`."""
    below = below_one(estimate)
    return None if below is None else not below


def differs(estimate: Estimate) -> bool | None:
    """Whether the ratio is another than 1: not where all of its interval lies within `SAME_WITHIN` of 1."""
    if below_one(estimate) is not None:
        return True
    interval = estimate.interval
    ends = (estimate.ratio,) if interval is None else (interval.low, interval.high)
    return False if all(1 / SAME_WITHIN <= end <= SAME_WITHIN for end in ends) else None


def case(
    holds: Callable[[Estimate], bool | None], estimate: Estimate, points: Sequence[MeasuredPoint]
) -> Case:
    """A case of latencies. On a board that did not hold still nothing can be told."""
    unsteady = any(point.unsteady for point in points)
    runs = tuple(point.run_id for point in points)
    return Case(None if unsteady else holds(estimate), estimate.ratio, runs, unsteady)


def mostly(claim: str, cases: Sequence[Case], form: Callable[[Sequence[float]], str]) -> Part:
    """The claim that something holds in most cases: supported where Wilson's interval of the part in which it
    does lies above a half, contradicted where it lies below. It takes four cases that agree."""
    told = [one for one in cases if one.holds is not None]
    held = sum(one.holds is True for one in told)
    interval = wilson(held, len(told))
    verdict = Verdict.NOT_ENOUGH
    if interval.low > 0.5:
        verdict = Verdict.SUPPORTS
    if interval.high < 0.5:
        verdict = Verdict.CONTRADICTS
    return Part(claim, verdict, _numbers(cases, held, len(told), form), _runs(cases))


def ever(claim: str, cases: Sequence[Case], form: Callable[[Sequence[float]], str]) -> Part:
    """The claim that something happens: supported by one case, contradicted by so many without one that it
    happens in less than `SELDOM` of all."""
    told = [one for one in cases if one.holds is not None]
    held = sum(one.holds is True for one in told)
    verdict = Verdict.SUPPORTS if held else Verdict.NOT_ENOUGH
    if not held and most_where_none_was_seen(len(told)) <= SELDOM:
        verdict = Verdict.CONTRADICTS
    return Part(claim, verdict, _numbers(cases, held, len(told), form), _runs(cases))


def ratios_of(noun: str, scaled_by: float = 1.0) -> Callable[[Sequence[float]], str]:
    """`ratios of latency from 0.61x to 1.2x, 0.8x on average`, the average the geometric mean. What the cases
    hold was `scaled` by the factor, which is not told."""

    def told(scaled_values: Sequence[float]) -> str:
        values = [value / scaled_by for value in scaled_values]
        mean = math.exp(math.fsum(math.log(value) for value in values) / len(values))
        ends = f"{plain_times(min(values))} to {plain_times(max(values))}"
        return f"ratios of {noun} from {ends}, {plain_times(mean)} on average"

    return told


of_ratios = ratios_of("latency")


def of_points(values: Sequence[float]) -> str:
    """`from 0.1 to 2.3 percentage points, 0.8 on average`."""
    mean = math.fsum(values) / len(values)
    return (
        f"from {100 * min(values):.2g} to {100 * max(values):.2g} percentage points, "
        f"{100 * mean:.2g} on average"
    )


def _numbers(cases: Sequence[Case], held: int, told: int, form: Callable[[Sequence[float]], str]) -> str:
    if not cases:
        return "There is nothing to compare."
    unsteady = sum(one.unsteady for one in cases)
    why = f", {unsteady} as a board did not hold still" if unsteady else ""
    open_ones = f"; {len(cases) - told} can't be told{why}" if len(cases) > told else ""
    part = wilson(held, told)
    wide = f" ({percent(part.low)} to {percent(part.high)} of all such)" if told else ""
    values = form([one.value for one in cases])
    return f"It holds in {held} of {counted(told, 'comparison')}{wide}{open_ones}; {values}."


def _runs(cases: Sequence[Case]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run for one in cases for run in one.runs))
