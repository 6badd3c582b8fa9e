"""What is known of points that are not made yet, without any of their work."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config, datasets, pipeline
from dlas.errors import at_point
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing import deployment
from dlas.points.messages import Fallback, Foreseen
from dlas.stages.store.finished import FinishedStages, NotMade
from dlas.systems.choices.kind import kinds_of

if TYPE_CHECKING:
    from dlas.interfaces.images import ImageDataset
    from dlas.stages.checks.rehearsal import Rehearsed
    from dlas.stages.stage import Kept


def foreseen(stacks: Sequence[config.Stack], rehearsed: Sequence[Rehearsed]) -> Iterator[Foreseen]:
    """What is known of each point, in their order; their rehearsals tell of their layers. UserError for
    images that its network can't take."""
    read: list[tuple[config.Dataset, ImageDataset]] = []
    for place, (stack, rehearsal) in enumerate(zip(stacks, rehearsed, strict=True)):
        with at_point(place):
            done, missing = _found(stack, _images(stack.dataset, read))
        first, begun = (None, False) if missing is None else (missing.result, missing.begun)
        yield Foreseen(place, tuple(done), first, begun, _fallbacks(stack, rehearsal))


def _found(stack: config.Stack, images: ImageDataset) -> tuple[list[str], NotMade | None]:
    done: list[str] = []

    def used(kept: Kept) -> None:
        done.append(kept.name)

    pipeline.remember_code(stack)
    dataset = datasets.normalized_for(stack.model, images)
    store = FinishedStages(Path(stack.artifacts) / "stages", used, level=logging.DEBUG)
    target = resolve(stack.target)
    own = stack.compiler.has_own_kernels
    there = deployment.require_board(target, stack.compiler.runtime) if own else {}
    try:
        pipeline.obtain(stack, target, there, dataset, store)
    except NotMade as missing:
        return done, missing
    return done, None


def _images(dataset: config.Dataset, read: list[tuple[config.Dataset, ImageDataset]]) -> ImageDataset:
    """The images of the set; those that were read last are kept."""
    if not read or read[0][0] != dataset:
        read[:] = [(dataset, datasets.load(dataset))]
    return read[0][1]


def _fallbacks(stack: config.Stack, rehearsed: Rehearsed) -> tuple[Fallback, ...]:
    """The layers that the declared kernel can't serve; none where each layer gets the fastest of several."""
    kinds = kinds_of(stack.algorithms, stack.format.formats)
    if len(kinds) > 1:
        return ()
    layers: dict[tuple[str, str, str], list[str]] = {}
    for each in rehearsed.stand_ins:
        if each.kind in kinds:
            layers.setdefault((each.kind.name, each.served_by, each.reason), []).append(each.layer)
    return tuple(Fallback(*told, tuple(found)) for told, found in layers.items())
