"""Layer 1: datasets. One module each, which offers `load(config: config.Dataset) -> ImageDataset`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dlas.errors import UserError

if TYPE_CHECKING:
    from dlas import config
    from dlas.datasets.dataset import ImageDataset


def load(dataset: config.Dataset) -> ImageDataset:
    """The images and labels of the declared dataset; UserError where its module or its files are missing."""
    try:
        module = import_module(dataset.module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"cannot import the module {dataset.module!r}: {error}",
            key="dataset.module",
            remedy="give the dotted name of an importable module that offers load(config)",
        ) from error
    images: ImageDataset = module.load(dataset)
    return images
