"""Layer 1: datasets. A module each: see `dlas.interfaces.dataset`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from dlas.datasets.shared.faults import faults_of
from dlas.errors import UserError

if TYPE_CHECKING:
    from dlas import config
    from dlas.interfaces.images import ImageDataset


def load(dataset: config.Dataset) -> ImageDataset:
    """The images and labels of the declared dataset; UserError where its module or its files are missing."""
    try:
        module = import_module(dataset.implementation)
    except ModuleNotFoundError as error:
        raise UserError(
            f"cannot import the module {dataset.implementation!r}: {error}",
            key="dataset.module",
            remedy="give the dotted name of an importable module that offers load(config)",
        ) from error
    images: ImageDataset = module.load(dataset)
    faults = faults_of(images, dataset)
    if faults:
        raise UserError(
            f"{dataset.implementation} gives images that are not as promised: {'; '.join(faults)}",
            key="dataset.module",
            remedy="mend it there; dlas.interfaces.images.ImageDataset says what is promised",
        )
    return images


def normalized_for(model: config.Model, dataset: ImageDataset) -> ImageDataset:
    """The same images, normalized by the model's mean and std where it has its own; UserError where they
    can't be normalized."""
    if model.mean is None or model.std is None:
        require_varied(dataset.name, dataset.std)
        return dataset
    require_normalizing(model, dataset.image_shape[0])
    return dataclasses.replace(dataset, mean=tuple(model.mean), std=tuple(model.std))


def require_normalizing(model: config.Model, channels: int) -> None:
    """UserError where the model's own mean and std are not for images of so many channels."""
    if model.mean is not None and len(model.mean) != channels:
        raise UserError(
            f"{len(model.mean)} numbers for images of {channels} channels",
            key="model.mean",
            remedy=f"give {channels} numbers, and as many for model.std",
        )


def require_varied(name: str, deviations: Sequence[float]) -> None:
    """UserError where a channel is the same in all training images of a set, so that its standard deviation
    is 0."""
    constant = [str(channel) for channel, deviation in enumerate(deviations) if deviation == 0]
    if constant:
        raise UserError(
            f"all pixels of a channel are the same in the training images of {name}: channel "
            f"{', '.join(constant)}",
            key="dataset",
            remedy="give other images, or model.mean and model.std",
        )
