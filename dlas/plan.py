"""What is tried of all points before the first one starts: their networks, and the weights given to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from dlas import config, datasets
from dlas.errors import UserError
from dlas.stages.store import code
from dlas.users_code import told


def check(stacks: Sequence[config.Stack]) -> None:
    """UserError for the first network that cannot be right, or weights that are not its own.

    Each distinct network is tried once. No image is read for it, but of a data set whose settings tell
    neither the shape of its images nor the number of its classes.
    """
    from dlas.models import trial, weights

    tried: list[trial.Trial] = []
    given: list[tuple[config.Model, config.Dataset]] = []
    shapes: list[tuple[config.Dataset, tuple[int, int, int], int]] = []
    for stack in stacks:
        shape, classes = _images(stack.dataset, shapes)
        datasets.require_normalizing(stack.model, shape[0])
        one = trial.Trial(
            dataclasses.replace(stack.model, weights=None), shape, classes, batch_size=_batch_size(stack)
        )
        if one not in tried:
            code.remember([stack.model.implementation.rpartition(".")[0]])
            trial.run(one)
            tried.append(one)
        if stack.model.weights is not None and (stack.model, stack.dataset) not in given:
            weights.check(stack.model, stack.dataset)
            given.append((stack.model, stack.dataset))


def _batch_size(stack: config.Stack) -> int | None:
    """Images in a step of training, as far as a trial asks: one, or more."""
    if stack.model.weights is not None or stack.train.epochs == 0:
        return None
    return min(stack.train.batch_size, 2)


def _images(
    dataset: config.Dataset, known: list[tuple[config.Dataset, tuple[int, int, int], int]]
) -> tuple[tuple[int, int, int], int]:
    """Channels, height and width of its images, and the number of its classes."""
    if dataset.image_shape is not None and dataset.classes is not None:
        return dataset.image_shape, dataset.classes
    for one, shape, classes in known:
        if one == dataset:
            return shape, classes
    try:
        read = datasets.load(dataset)
    except UserError:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise UserError(
            f"{dataset.implementation} cannot read its images: {told(error)}",
            key="dataset.module",
            remedy="mend it there",
        ) from error
    known.append((dataset, read.image_shape, read.classes))
    return read.image_shape, read.classes
