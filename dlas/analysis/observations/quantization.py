"""Observations on networks of fewer bits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.cases import (
    Case,
    by,
    case,
    contexts,
    differs,
    mostly,
    of_points,
    of_ratios,
    ratio,
)
from dlas.analysis.observations.finding import Part, observation
from dlas.analysis.observations.kinds import is_plain, is_quantized

SAME_ACCURACY = 0.005
"""Difference of two accuracies, as fractions of 1, that counts as none: half a percentage point."""


@observation("V: The speedup of quantization varies by hardware and data type")
def speedup_of_quantization(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The ratio of two speedups: of one data type on two targets, and of two data types on one target; all
    else is the same."""
    by_hardware: list[Case] = []
    for group in contexts(points, ("compression", "target")).values():
        dense = by([one for one in group if is_plain(one)], "target")
        for data_type in ("float16", "int8"):
            quantized = by([one for one in group if one.steps == (data_type,)], "target")
            for here, there in combinations(sorted(dense.keys() & quantized.keys()), 2):
                over, under = (quantized[here], dense[there]), (dense[here], quantized[there])
                by_hardware.append(case(differs, ratio(over, under), (*over, *under)))
    by_type: list[Case] = []
    for group in contexts(points, ("compression",)).values():
        types = {one.steps: one for one in group if is_quantized(one)}
        if len(types) > 1:
            half, whole = types["float16",], types["int8",]
            by_type.append(case(differs, ratio([whole], [half]), (whole, half)))
    return [
        mostly("A data type speeds up one target more than another", by_hardware, of_ratios),
        mostly("float16 and int8 differ in speed on one target", by_type, of_ratios),
    ]


@observation("VI: float16 costs no accuracy; calibrated int8 does")
def accuracy_of_quantization(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The accuracy of the dense network less that of the deployed library, in the mean over the points of one
    network; less than half a percentage point counts as none. The study lost 1.8 points by int8 on CIFAR-10
    and 22.2 on ImageNet."""
    half, whole = (_drops(points, data_type) for data_type in ("float16", "int8"))
    return [
        mostly(
            "float16 costs no accuracy",
            [Case(drop <= SAME_ACCURACY, drop, runs) for drop, runs in half],
            of_points,
        ),
        mostly(
            "int8 costs accuracy", [Case(drop > SAME_ACCURACY, drop, runs) for drop, runs in whole], of_points
        ),
    ]


def _drops(points: Sequence[MeasuredPoint], data_type: str) -> list[tuple[float, tuple[str, ...]]]:
    """What each network lost by the data type, and its runs."""
    found: dict[tuple[str | None, ...], list[tuple[float, str]]] = defaultdict(list)
    for one in points:
        if one.steps == (data_type,) and one.accuracy_dense is not None and one.accuracy_deployed is not None:
            network = one.choices.get("dataset"), one.choices.get("model")
            found[network].append((one.accuracy_dense - one.accuracy_deployed, one.run_id))
    return [
        (sum(drop for drop, _ in group) / len(group), tuple(run for _, run in group))
        for group in found.values()
    ]
