"""The highest fraction of a network that can be pruned at an allowed cost in accuracy.

The test set has no part in it. A fifth of the training images is held out, even over the classes and drawn
from the seed; every fraction that is tried is pruned and fine-tuned on the others, as declared, and judged on
those held out. What it is compared with is the network that was fine-tuned in the same way without being
pruned: the given network itself was trained on the images held out, and forgets them in any fine-tuning.
"""

from __future__ import annotations

import bisect
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dlas import config
from dlas.errors import UserError
from dlas.files.checkpoints import Checkpoints, State

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

log = logging.getLogger(__name__)

AUTO = "auto"
VALIDATION_FRACTION = 0.2
MAX_VALIDATION_IMAGES = 10_000
"""Largest number of validation images: with so many, the standard error of an accuracy is half a point at
most."""
ROUNDING = 1e-9
"""Allowance for rounding errors: 0.99 - 0.98 is a little more than 0.01 in floating point."""
TRIES = "tries"
"""Name of the checkpoint of the finished tries."""

RESULT = "result"
"""Name of the place in the checkpoints of what comes after the search: the result itself."""


def check(fraction: float | str, key: str, max_drop: float, max_drop_key: str) -> None:
    """UserError where `fraction` is neither "auto" nor from 0 to below 1, or `max_drop` is out of range."""
    remedy = f"0 to below 1, or {AUTO}"
    if isinstance(fraction, str):
        config.require(fraction == AUTO, key, f"'{fraction}' is neither a number nor {AUTO}", remedy)
    else:
        config.require(0 <= fraction < 1, key, f"{fraction} is out of range", remedy)
    config.require(0 <= max_drop < 1, max_drop_key, f"{max_drop} is out of range", "0 to below 1")


def highest(
    compressed: Callable[[float, ImageDataset, Checkpoints], nn.Module],
    candidates: Sequence[float],
    dataset: ImageDataset,
    max_drop: float,
    key: str,
    seed: int,
    checkpoints: Checkpoints,
) -> float:
    """The highest of the ascending `candidates` whose drop in top-1 accuracy is no more than `max_drop`.

    Found by bisection, which takes it that a higher fraction costs more. `compressed(fraction, dataset,
    checkpoints)` prunes and fine-tunes. Each try is logged, and saved in `checkpoints`: an interrupted search
    goes on from the tries that were finished, and from where the next one stood. `key` names the setting.
    UserError where no candidate holds, and where the training images cannot be split.
    """
    from dlas.models import evaluation

    judged = held_out(dataset, seed, key)
    finished = checkpoints.beside(TRIES)
    saved = finished.take()
    tries: dict[str, float] = {} if saved is None else dict(saved.values)

    def accuracy(fraction: float) -> float:
        name = str(fraction)
        if name not in tries:
            tries[name] = evaluation.accuracy(compressed(fraction, judged, checkpoints.at(name)), judged)
            finished.save(State(tries))
        return tries[name]

    images = len(judged.test_labels)
    reference = accuracy(0.0)
    log.info("%s: 0 (only fine-tuned) has a top-1 of %.4f on %d held-out images", key, reference, images)

    def costs_too_much(fraction: float) -> bool:
        drop = reference - accuracy(fraction)
        too_much = drop > max_drop + ROUNDING
        log.info(
            "%s: %.2f loses %.4f of that top-1: %s",
            key,
            fraction,
            drop,
            "too much" if too_much else "allowed",
        )
        return too_much

    allowed = bisect.bisect_left(candidates, True, key=costs_too_much)
    if allowed == 0:
        raise UserError(
            f"even {candidates[0]} costs more than max_drop={max_drop}",
            key=key,
            remedy="allow a larger max_drop, fine-tune for more epochs, or give a number",
        )
    found = candidates[allowed - 1]
    log.info("%s: %s found %.2f", key, AUTO, found)
    return found


def held_out(dataset: ImageDataset, seed: int, key: str) -> ImageDataset:
    """The training images alone, split in two: those held out stand in the place of the test set."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    labels = dataset.train_labels
    try:
        kept, held = train_test_split(
            np.arange(len(labels)),
            test_size=min(round(VALIDATION_FRACTION * len(labels)), MAX_VALIDATION_IMAGES),
            random_state=seed,
            stratify=labels,
        )
    except ValueError as error:
        raise UserError(
            f"no training images can be held out: {error}",
            key=key,
            remedy=f"give a number in the place of {AUTO}",
        ) from error
    return dataclasses.replace(
        dataset,
        train_images=dataset.train_images[kept],
        train_labels=labels[kept],
        test_images=dataset.train_images[held],
        test_labels=labels[held],
    )
