"""Unstructured pruning: single weights of least magnitude become zero, wherever in the network they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlas.compression import magnitude_pruning
from dlas.compression.magnitude_pruning import MagnitudePruning, restore
from dlas.files.checkpoints import NOWHERE, Checkpoints

if TYPE_CHECKING:
    from torch import nn

    from dlas import config
    from dlas.interfaces.images import ImageDataset

__all__ = ["Settings", "compress", "rehearse", "restore"]


@dataclass(frozen=True)
class Settings(MagnitudePruning):
    """Settings of weight pruning: those of magnitude pruning, for blocks of a single weight."""


def rehearse(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """A copy of `model` whose smallest weights are zero; UserError where no layer can be pruned."""
    return magnitude_pruning.rehearse(model, image_shape, settings, (1, 1))


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """A copy of `model` whose smallest weights are zero, fine-tuned, from where an interrupted attempt
    stood."""
    return magnitude_pruning.compress(model, dataset, settings, (1, 1), train, seed, checkpoints)
