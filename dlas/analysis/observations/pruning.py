"""Observations on pruned networks."""

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
    fastest,
    mostly,
    of_ratios,
    ratio,
    ratios_of,
    scaled,
)
from dlas.analysis.observations.finding import Part, observation
from dlas.analysis.observations.kinds import (
    LARGE_IMAGES,
    SMALL_IMAGES,
    expected_speedup,
    is_plain,
    is_pruned,
    is_sparse,
    is_tuned,
)
from dlas.analysis.statistics.contrast import Estimate

CODE = ("algo", "format")
"""Layers of which the fastest choice counts where networks are compared."""

MISSED = ratios_of("measured to expected time")


@observation(
    "II: Tuned sparse models beat dense ones on small images (CIFAR-10), on large ones (ImageNet) not"
)
def tuned_sparse(points: Sequence[MeasuredPoint]) -> list[Part]:
    """The fastest tuned code of a pruned network in a sparse format over that of the dense network."""
    tuned = [one for one in points if is_tuned(one)]

    def cases(datasets: Sequence[str], holds: Callable[[Estimate], bool | None]) -> list[Case]:
        found = []
        chosen = [one for one in tuned if one.choices.get("dataset") in datasets]
        for group in contexts(chosen, ("compression", *CODE)).values():
            sparse = fastest(one for one in group if is_sparse(one))
            dense = fastest(one for one in group if is_plain(one))
            if sparse and dense:
                found.append(case(holds, ratio([sparse], [dense]), (sparse, dense)))
        return found

    return [
        mostly(
            "Tuned sparse networks for small images are faster than dense ones",
            cases(SMALL_IMAGES, below_one),
            of_ratios,
        ),
        mostly(
            "Tuned sparse networks for large images are slower than dense ones",
            cases(LARGE_IMAGES, above_one),
            of_ratios,
        ),
    ]


@observation(
    "IV: Weight pruning compresses and speeds up better than channel pruning, but reaches less of its promise"
)
def weights_against_channels(points: Sequence[MeasuredPoint]) -> list[Part]:
    """Remaining parameters; the fastest code of each; and the speedups of these over what their MACs promise.
    Networks are compared as they were declared, not at one accuracy."""
    faster, promised = [], []
    for weights, channels in _both_kinds(points, *CODE):
        times = ratio([weights], [channels])
        faster.append(case(below_one, times, (weights, channels)))
        of_weights, of_channels = expected_speedup(weights), expected_speedup(channels)
        if of_weights and of_channels:
            missed = scaled(times, of_weights / of_channels)
            promised.append(case(above_one, missed, (weights, channels)))
    smaller = []
    for weights, channels in _both_kinds(points, *CODE, "compiler", "tuner", "target"):
        if weights.parameters_remaining and channels.parameters_remaining:
            left = weights.parameters_remaining / channels.parameters_remaining
            smaller.append(Case(None if left == 1 else left < 1, left, (weights.run_id, channels.run_id)))
    return [
        mostly(
            "Weight pruning leaves fewer parameters than channel pruning", smaller, ratios_of("parameters")
        ),
        mostly("Weight-pruned networks are faster than channel-pruned ones", faster, of_ratios),
        mostly(
            "Weight-pruned networks reach less of their expected speedup",
            promised,
            ratios_of("the part that channel pruning reaches to that of weight pruning"),
        ),
    ]


def _both_kinds(
    points: Sequence[MeasuredPoint], *apart: str
) -> Iterator[tuple[MeasuredPoint, MeasuredPoint]]:
    """The fastest weight-pruned and channel-pruned points where all but these layers is the same."""
    for group in contexts(points, ("compression", *apart)).values():
        weights = fastest(one for one in group if one.steps == ("weight_pruning",))
        channels = fastest(one for one in group if one.steps == ("channel_pruning",))
        if weights and channels:
            yield weights, channels


@observation("X: Pruned models rarely reach their expected speedup")
def expected_speedups(points: Sequence[MeasuredPoint]) -> list[Part]:
    """A pruned network's time in its fastest format times the expected speedup, over the dense time: of the
    same algorithm, and of the algorithm that is fastest for the dense network."""
    return [
        mostly(
            "Pruned networks are slower than expected from the dense time of their algorithm",
            list(_reached(points, "format")),
            MISSED,
        ),
        mostly(
            "Pruned networks are slower than expected from the best dense time",
            list(_reached(points, *CODE)),
            MISSED,
        ),
    ]


def _reached(points: Sequence[MeasuredPoint], *code: str) -> Iterator[Case]:
    for group in contexts(points, ("compression", *code)).values():
        dense = fastest(one for one in group if is_plain(one))
        for same in alike((one for one in group if is_pruned(one)), "compression"):
            pruned = fastest(same)
            promised = None if pruned is None else expected_speedup(pruned)
            if dense and pruned and promised and promised > 1:
                yield case(above_one, scaled(ratio([pruned], [dense]), promised), (pruned, dense))
