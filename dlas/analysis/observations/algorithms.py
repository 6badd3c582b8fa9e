"""Observations on which algorithm is the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.cases import below_one, case, contexts, fastest, mostly, of_ratios, ratio
from dlas.analysis.observations.finding import Part, observation
from dlas.analysis.observations.kinds import MIXED, is_sparse, is_tuned


@observation("VII: Tuned dense on CPU: spatial pack is generally the best")
def dense_on_cpu(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The time by spatial pack over the best time by another algorithm."""
    chosen = [one for one in points if _is_tuned_dense(one) and one.target_kind == "cpu"]
    return [best_is("spatial_pack", "Dense code tuned for a CPU is fastest by spatial pack", chosen)]


@observation("VIII: Tuned dense on GPU: direct is generally the best")
def dense_on_gpu(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The time by direct over the best time by another algorithm."""
    chosen = [one for one in points if _is_tuned_dense(one) and one.target_kind == "cuda"]
    return [best_is("direct", "Dense code tuned for a GPU is fastest by direct", chosen)]


@observation("IX: Sparse: GEMM is the best on CPU, direct on GPU")
def sparse(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The time by the one over the best time by another algorithm, of pruned networks in a sparse format."""

    def on(kind: str) -> Callable[[MeasuredPoint], bool]:
        return lambda one: is_sparse(one) and one.target_kind == kind

    return [
        best_is("gemm", "Sparse code for a CPU is fastest by GEMM", list(filter(on("cpu"), points))),
        best_is("direct", "Sparse code for a GPU is fastest by direct", list(filter(on("cuda"), points))),
    ]


def best_is(algorithm: str, claim: str, points: Sequence[MeasuredPoint]) -> Part:
    """The claim that an algorithm is the fastest wherever it was measured beside another."""
    cases = []
    for group in contexts(points, ("algo",)).values():
        mine = fastest(one for one in group if one.choices.get("algo") == algorithm)
        other = fastest(one for one in group if one.choices.get("algo") not in (algorithm, MIXED))
        if mine and other:
            cases.append(case(below_one, ratio([mine], [other]), (mine, other)))
    return mostly(claim, cases, of_ratios)


def _is_tuned_dense(point: MeasuredPoint) -> bool:
    """Whether the code is tuned and of whole filters in float32: none of their weights are left out."""
    whole = point.steps in ((), ("channel_pruning",)) and point.choices.get("format", "dense") == "dense"
    return whole and is_tuned(point)
