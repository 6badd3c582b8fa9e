"""Models of a user's own whose process does not live to their end."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import torch
from torch import nn
from user_models import two_layers

SPARED = 10
"""Training steps that a model which dies while it is trained gets through: more than a trial takes."""


class Deadly(nn.Module):
    """Two layers, whose forward calls `end` before anything else."""

    def __init__(self, classes: int, end: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self.layers = two_layers(classes)
        self.end = end

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.end(self)
        logits: torch.Tensor = self.layers(images)
        return logits


def _leave(model: nn.Module) -> None:
    print("goodbye from forward")
    os._exit(7)


_steps: list[None] = []


def _crash_in_training(model: nn.Module) -> None:
    if model.training:
        _steps.append(None)
    if len(_steps) > SPARED:
        ctypes.string_at(0)


def leaving(classes: int) -> nn.Module:
    """Ends its process whenever it is run."""
    return Deadly(classes, _leave)


def crashing(classes: int) -> nn.Module:
    """Reads where it may not, once it is trained for a while."""
    return Deadly(classes, _crash_in_training)
