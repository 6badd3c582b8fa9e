"""Pruning by small blocks of the weight matrix, so that what remains suits the BSR format."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression import magnitude_pruning
from dlas.compression.magnitude_pruning import MagnitudePruning, divides, restore
from dlas.errors import UserError
from dlas.files.checkpoints import NOWHERE, Checkpoints

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

__all__ = ["Settings", "compress", "rehearse", "restore"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings(MagnitudePruning):
    """Settings of block pruning; `sparsity` counts the weights of the layers that the block divides: others
    stay dense."""

    block: list[int] = field(default_factory=lambda: [8, 1])
    """Rows and columns of the matrix (O, I*H*W): [8, 1] is eight output channels at one input and place."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = len(self.block) == 2 and min(self.block) >= 1
        config.require(
            fits, f"{self.key}.block", f"{self.block} is no block", "rows and columns, as in [8,1]"
        )


def rehearse(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """A copy of `model` whose smallest blocks are zero; UserError where no layer can be pruned."""
    _undivided(model, image_shape, settings)
    rows, columns = settings.block
    return magnitude_pruning.rehearse(model, image_shape, settings, (rows, columns))


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """A copy of `model` whose smallest blocks are zero, fine-tuned, from where an interrupted attempt stood.

    Layers whose matrix is no whole number of blocks stay dense, and a warning names them; UserError where
    none is.
    """
    rows, columns = settings.block
    undivided = _undivided(model, dataset.image_shape, settings)
    if undivided:
        shape, names = f"{rows}x{columns}", ", ".join(undivided)
        log.warning("%s: kept dense, since blocks of %s do not divide them: %s", settings.key, shape, names)
    return magnitude_pruning.compress(model, dataset, settings, (rows, columns), train, seed, checkpoints)


def _undivided(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> list[str]:
    """Layers that could be pruned, were their matrix a whole number of blocks; UserError where they are
    all."""
    rows, columns = settings.block
    weights = magnitude_pruning.prunable_weights(model, image_shape)
    undivided = [name for name, weight in weights.items() if not divides((rows, columns), weight)]
    if weights and len(undivided) == len(weights):
        raise UserError(
            f"blocks of {rows}x{columns} divide no layer of this network",
            key=f"{settings.key}.block",
            remedy="rows that divide the output channels, and columns that divide the inputs of each of them",
        )
    return undivided
