"""The short training that lets a compressed network recover."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlas import config

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset


@dataclass(frozen=True)
class Finetune:
    """Settings of fine-tuning that differ from the training of the dense network; no epochs, no
    fine-tuning."""

    epochs: int = 3
    learning_rate: float = 0.02
    batch_size: int = 32

    def check(self, key: str) -> None:
        """UserError where a value is out of range; `key` is where these settings stand."""
        config.require(self.epochs >= 0, f"{key}.epochs", f"{self.epochs} is negative", "0 or more")
        rate = self.learning_rate
        config.require(0 < rate < math.inf, f"{key}.learning_rate", f"{rate} is out of range", "more than 0")
        size = self.batch_size
        config.require(size >= 1, f"{key}.batch_size", f"{size} is too small", "1 or more")


def finetune(
    model: nn.Module, dataset: ImageDataset, settings: Finetune, train: config.Train, seed: int, key: str
) -> nn.Module:
    """Train `model` on in place, on the device and with the momentum and decay of `train`; returned in eval
    mode. `key` is where the settings stand.

    Weights that are zero stay zero, whichever step of compression made them so.
    """
    from dlas.models import training

    recipe = dataclasses.replace(
        train,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
    )
    return training.train(model, dataset, recipe, seed, key, after_step=restoring_zeros(model))


def restoring_zeros(model: nn.Module) -> Callable[[nn.Module], None]:
    """A function that sets to zero again every weight of a convolution or linear layer that is zero now.

    After a step, since the gradient, momentum and weight decay all move a weight.
    """
    import torch

    from dlas.models.counting import own_weight, weight_layers

    zeros = {}
    for name, layer in weight_layers(model).items():
        weight = own_weight(layer)
        if weight is not None and (zero := weight == 0).any():
            zeros[name] = zero

    def restore_zeros(trained: nn.Module) -> None:
        with torch.no_grad():
            for name, zero in zeros.items():
                weight = trained.get_submodule(name).get_parameter("weight")
                zeros[name] = zero.to(weight.device)  # moves once
                weight.masked_fill_(zeros[name], 0)

    return restore_zeros
