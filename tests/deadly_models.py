"""Models of a user's own whose process does not live to their end, or would wait for ever."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from user_models import two_layers

SPARED = 10
"""Training steps that a model which dies while it is trained gets through: more than a trial takes."""

HELD, GO = "DLAS_TESTS_HELD", "go"
"""Environment variable with the folder of models that wait, and the file there for which they do."""


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


def _is_trained_for_a_while(model: nn.Module) -> bool:
    if model.training:
        _steps.append(None)
    return len(_steps) > SPARED


def _crash_in_training(model: nn.Module) -> None:
    if _is_trained_for_a_while(model):
        ctypes.string_at(0)


def _wait_in_training(model: nn.Module) -> None:
    if _is_trained_for_a_while(model):
        folder = Path(os.environ[HELD])
        (folder / os.environ["SLURM_ARRAY_TASK_ID"]).touch()
        while not (folder / GO).exists():
            time.sleep(0.1)


def leaving(classes: int) -> nn.Module:
    """Ends its process whenever it is run."""
    return Deadly(classes, _leave)


def crashing(classes: int) -> nn.Module:
    """Reads where it may not, once it is trained for a while."""
    return Deadly(classes, _crash_in_training)


def held(classes: int) -> nn.Module:
    """Waits for the file GO, once it is trained for a while; a file with its job's number tells of it."""
    return Deadly(classes, _wait_in_training)
