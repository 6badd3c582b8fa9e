"""Observations on machines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.cases import (
    Case,
    above_one,
    below_one,
    by,
    case,
    contexts,
    mostly,
    of_ratios,
    ratio,
)
from dlas.analysis.observations.finding import Part, observation


@observation("XIII: The faster hardware is generally faster")
def faster_hardware(points: Sequence[MeasuredPoint]) -> list[Part]:
    """Of each two targets, whether the one that is faster in the geometric mean over all other points is so
    in this one too."""
    groups = [by(group, "target") for group in contexts(points, ("target",)).values()]
    targets = sorted({target for group in groups for target in group})
    cases: list[Case] = []
    for one, other in combinations(targets, 2):
        both = [(group[one], group[other]) for group in groups if {one, other} <= group.keys()]
        ratios = [ratio([mine], [theirs]) for mine, theirs in both]
        total = sum(each.log for each in ratios)
        for pair, each in zip(both, ratios, strict=True):
            others = total - each.log
            if len(both) > 1 and others:
                cases.append(case(below_one if others < 0 else above_one, each, pair))
    claim = "The target that is faster for all other points is so for each"
    return [mostly(claim, cases, of_ratios)]
