"""Observations on sizes, accuracies and times of networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import TypeAlias

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.cases import option
from dlas.analysis.observations.finding import Part, Verdict, observation
from dlas.analysis.statistics.correlation import FEWEST, Correlation, pooled

WEAK, STRONG = 0.4, 0.7
"""Bounds of a moderate correlation: Schober, Boer and Schwarte (2018), Correlation coefficients: appropriate
use and interpretation."""


TOO_FEW = f"It takes {FEWEST} points beside each other that differ."

Row: TypeAlias = tuple[object, float, float, str]
"""A group, two numbers that may be correlated within it, and a run."""


@observation("I: MACs, accuracy and inference time are not strongly correlated")
def macs_accuracy_and_time(points: Sequence[MeasuredPoint]) -> list[Part]:
    """Spearman's correlation of each two of the three, within a data set and target, pooled over these; of
    points whose board held still."""
    known = [
        (
            (one.choices.get("dataset"), one.choices.get("target")),
            (macs, accuracy, one.latency_ms),
            one.run_id,
        )
        for one in points
        if one.timed
        and not one.unsteady
        and (macs := one.macs_remaining) is not None
        and (accuracy := one.accuracy_deployed) is not None
    ]
    names = ("MACs", "accuracy", "time")
    parts = []
    for a, b in combinations(range(3), 2):
        rows = [(group, values[a] or 0.0, values[b] or 0.0, run) for group, values, run in known]
        claim = f"{names[a]} and {names[b]} are not strongly correlated"
        parts.append(_weaker_than(claim, STRONG, _grouped(rows), _runs(rows)))
    return parts


@observation("III: Model size and accuracy correlate weakly; smaller models suffer more from compression")
def size_and_accuracy(points: Sequence[MeasuredPoint]) -> list[Part]:
    """Spearman's correlation of remaining parameters with accuracy, over the networks of a data set; and of
    the dense network's parameters with what a compression took of its accuracy, over the networks that have
    it."""
    networks = _networks(points)
    sized = [
        (one.choices.get("dataset"), one.parameters_remaining, one.accuracy_compressed, one.run_id)
        for one in networks
        if one.parameters_remaining is not None and one.accuracy_compressed is not None
    ]
    lost = [
        ((one.choices.get("dataset"), option(one, "compression")), one.parameters_dense, drop, one.run_id)
        for one in networks
        if one.steps and one.parameters_dense is not None and (drop := _drop(one)) is not None
    ]
    suffering = pooled(_grouped(lost))
    claim, runs = "The smaller a network, the more accuracy it loses by a compression", _runs(lost)
    if suffering is None:
        second = Part(claim, Verdict.NOT_ENOUGH, TOO_FEW, runs)
    else:
        second = Part(claim, _negative(suffering), f"{_value(suffering)}; it should lie below 0.", runs)
    return [
        _weaker_than(
            "Parameters and accuracy of networks correlate weakly", WEAK, _grouped(sized), _runs(sized)
        ),
        second,
    ]


def _drop(point: MeasuredPoint) -> float | None:
    """What compression took of the accuracy, as a fraction of 1."""
    if point.accuracy_dense is None or point.accuracy_compressed is None:
        return None
    return point.accuracy_dense - point.accuracy_compressed


def _networks(points: Sequence[MeasuredPoint]) -> list[MeasuredPoint]:
    """One point of each network: data set, model and compression."""
    found = {}
    for one in points:
        found[one.choices.get("dataset"), one.choices.get("model"), option(one, "compression")] = one
    return list(found.values())


def _grouped(rows: Sequence[Row]) -> list[tuple[list[float], list[float]]]:
    """The two numbers of each row, by its group."""
    found: dict[object, list[tuple[float, float]]] = defaultdict(list)
    for group, one, other, _ in rows:
        found[group].append((one, other))
    return [([one for one, _ in pairs], [other for _, other in pairs]) for pairs in found.values()]


def _runs(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(run for *_, run in rows)


def _weaker_than(
    claim: str,
    bound: float,
    groups: Sequence[tuple[Sequence[float], Sequence[float]]],
    runs: tuple[str, ...],
) -> Part:
    """Supported where the whole interval of the correlation lies within the bound on both sides of 0,
    contradicted where it lies beyond."""
    found = pooled(groups)
    if found is None:
        return Part(claim, Verdict.NOT_ENOUGH, TOO_FEW, runs)
    return Part(claim, _judged(found, bound), _told(found, bound), runs)


def _judged(found: Correlation, bound: float) -> Verdict:
    low, high = found.interval.low, found.interval.high
    if -bound < low and high < bound:
        return Verdict.SUPPORTS
    return Verdict.CONTRADICTS if low >= bound or high <= -bound else Verdict.NOT_ENOUGH


def _negative(found: Correlation) -> Verdict:
    if found.interval.high < 0:
        return Verdict.SUPPORTS
    return Verdict.CONTRADICTS if found.interval.low > 0 else Verdict.NOT_ENOUGH


def _told(found: Correlation, bound: float) -> str:
    return f"{_value(found)}; it should lie within {bound} on both sides of 0."


def _value(found: Correlation) -> str:
    interval = f"[{found.interval.low:.2f}, {found.interval.high:.2f}]"
    return f"Spearman's correlation is {found.value:.2f} {interval} over {found.pairs} points"
