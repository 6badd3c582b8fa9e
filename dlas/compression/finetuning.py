"""The short training that lets a compressed network recover."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlas import config
from dlas.files.checkpoints import NOWHERE, Checkpoints

if TYPE_CHECKING:
    import torch
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
    model: nn.Module,
    dataset: ImageDataset,
    settings: Finetune,
    train: config.Train,
    seed: int,
    key: str,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """Train `model` on in place, on the device and with the momentum and decay of `train`; returned in eval
    mode. `key` is where the settings stand.

    Weights that are zero stay zero, whichever step of compression made them so. Where `checkpoints` have a
    state, the model becomes that of then, its zeros with it.
    """
    from dlas.models import training

    recipe = dataclasses.replace(
        train,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
    )
    return training.train(model, dataset, recipe, seed, key, KeepZeros(model), checkpoints)


class KeepZeros:
    """Sets to zero again, after each step, every weight of a convolution or linear layer that was zero before
    the first: the gradient, momentum and weight decay all move a weight."""

    def __init__(self, model: nn.Module) -> None:
        from dlas.models.counting import own_weight, weight_layers

        self.zeros: dict[str, torch.Tensor] = {}
        """Where the weight of each layer that has zeros is zero, by the layer's name."""
        for name, layer in weight_layers(model).items():
            weight = own_weight(layer)
            if weight is not None and (zero := weight == 0).any():
                self.zeros[name] = zero

    def __call__(self, model: nn.Module, /) -> None:
        """Set them to zero."""
        import torch

        with torch.no_grad():
            for name, zero in self.zeros.items():
                weight = model.get_submodule(name).get_parameter("weight")
                self.zeros[name] = zero.to(weight.device)  # moves once
                weight.masked_fill_(self.zeros[name], 0)

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Give the zeros."""
        return self.zeros

    def load_state_dict(self, state: Mapping[str, torch.Tensor], /) -> None:
        """Keep these zeros from now on."""
        self.zeros = dict(state)
