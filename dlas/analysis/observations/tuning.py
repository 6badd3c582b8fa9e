"""Observations on what tuning does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations.cases import (
    Case,
    above_one,
    alike,
    below_one,
    case,
    contexts,
    ever,
    fastest,
    mostly,
    of_ratios,
    option,
    ratio,
    ratios_of,
    scaled,
)
from dlas.analysis.observations.finding import Part, observation
from dlas.analysis.observations.kinds import MIXED, is_plain, is_pruned, is_quantized, is_tuned
from dlas.analysis.statistics.contrast import Estimate

DRAMATIC = 2.0
"""Speedup that counts as dramatic."""

LEFT = ratios_of("the part of its time that tuning leaves a compressed network to that of a dense one")


@observation("XI: Tuning speeds up dramatically and can change the best algorithm or compression")
def what_tuning_does(points: Sequence[MeasuredPoint]) -> list[Part]:
    """Twice the tuned time over the untuned one; and choices that are best untuned, against those that are
    best tuned."""
    speedups = [
        case(below_one, scaled(ratio([tuned], [plain]), DRAMATIC), (tuned, plain))
        for plain, tuned in _pairs(points)
    ]
    single = [one for one in points if one.choices.get("algo") != MIXED]
    changes = [*_changes(single, "algo"), *_changes(points, "compression")]
    return [
        mostly(
            f"Tuned code is at least {DRAMATIC:g} times as fast as untuned",
            speedups,
            ratios_of("tuned to untuned time", DRAMATIC),
        ),
        ever("Tuning changes which algorithm or compression is the best", changes, of_ratios),
    ]


@observation("XII: Pruned and quantized models gain less from tuning")
def gains_of_compressed(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The gain of tuning a compressed network over that of the dense one, by the same algorithm."""
    return [
        mostly("Pruned networks gain less than dense ones", list(_gains(points, is_pruned)), LEFT),
        mostly("Quantized networks gain less than dense ones", list(_gains(points, is_quantized)), LEFT),
    ]


def _pairs(points: Sequence[MeasuredPoint]) -> Iterator[tuple[MeasuredPoint, MeasuredPoint]]:
    """Points untuned and tuned, all else the same."""
    for group in contexts(points, ("tuner",)).values():
        untuned = [one for one in group if not is_tuned(one)]
        for same in alike((one for one in group if is_tuned(one)), "tuner"):
            if untuned:
                yield untuned[-1], same[-1]


def _changes(points: Sequence[MeasuredPoint], layer: str) -> Iterator[Case]:
    """Whether the choice that is best untuned loses to the best tuned one where both are tuned: of a
    compression, each in its fastest format."""
    apart = (layer, "tuner", *(("format",) if layer == "compression" else ()))
    for group in contexts(points, apart).values():
        plain = _best_by([one for one in group if not is_tuned(one)], layer)
        for same in alike((one for one in group if is_tuned(one)), "tuner"):
            tuned = _best_by(same, layer)
            shared = plain.keys() & tuned.keys()
            if len(shared) < 2:
                continue
            before = fastest(plain[choice] for choice in shared)
            after = fastest(tuned[choice] for choice in shared)
            assert before is not None
            assert after is not None
            old, new = option(before, layer), option(after, layer)
            lost, won = ratio([before], [plain[new]]), ratio([after], [tuned[old]])
            yield case(_changed(old != new, lost), won, (before, after, plain[new], tuned[old]))


def _changed(another: bool, lost: Estimate) -> Callable[[Estimate], bool | None]:
    """Whether another choice is the best, untuned and tuned by more than the sessions differ."""

    def holds(won: Estimate) -> bool | None:
        if not another:
            return False
        return True if below_one(lost) and below_one(won) else None

    return holds


def _best_by(points: Sequence[MeasuredPoint], layer: str) -> dict[str, MeasuredPoint]:
    """The fastest point of each choice of a layer."""
    groups = (fastest(group) for group in alike(points, layer))
    return {option(one, layer): one for one in groups if one is not None}


def _gains(points: Sequence[MeasuredPoint], kind: Callable[[MeasuredPoint], bool]) -> Iterator[Case]:
    for group in contexts(points, ("compression", "format", "tuner")).values():
        dense = list(_pairs([one for one in group if is_plain(one)]))
        for plain, tuned in _pairs([one for one in group if kind(one)]):
            for dense_plain, dense_tuned in dense:
                if option(dense_tuned, "tuner") == option(tuned, "tuner"):
                    over, under = (tuned, dense_plain), (plain, dense_tuned)
                    yield case(above_one, ratio(over, under), (*over, *under))
