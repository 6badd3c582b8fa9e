"""Weights and activations in float16; nothing is trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression.rehearsal import require_run
from dlas.files.checkpoints import NOWHERE, Checkpoints

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset


@dataclass(frozen=True)
class Settings(config.Compression):
    """Settings of float16: none of its own."""

    @property
    def data_type(self) -> str:
        """Data type of the weights after this step: float16."""
        return "float16"


def rehearse(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """A copy of `model` in float16; UserError where it does not run so."""
    from dlas.models.precision import Float16

    half = Float16(copy.deepcopy(model)).eval()
    require_run(half, image_shape, settings)
    return half


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """A copy of `model` in float16."""
    from dlas.models.precision import Float16

    return Float16(copy.deepcopy(model)).eval()


def restore(model: nn.Module, weights: Path) -> nn.Module:
    """The float16 network, made from the float32 one and the weights that `checkpoint.save` kept."""
    from dlas.models import checkpoint
    from dlas.models.precision import Float16

    half = Float16(copy.deepcopy(model))
    checkpoint.load(half, weights)
    return half.eval()
