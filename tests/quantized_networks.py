"""Networks in int8, and what a library of one answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import run
from dlas.interfaces.program import LoweredProgram
from dlas.models.quantized import Quantized, calibrated
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library

CALIBRATION = 8


def images_of(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(CALIBRATION, *shape, generator=torch.Generator().manual_seed(0))


def quantized(
    network: nn.Module, shape: tuple[int, int, int], observer: str = "histogram", weight_bits: int = 8
) -> Quantized:
    """Calibrated on `images_of` the shape."""
    return calibrated(network.eval(), images_of(shape), observer, weight_bits).eval()


def deployed(
    network: Quantized, images: torch.Tensor, algorithm: str, folder: Path
) -> tuple[LoweredProgram, np.ndarray]:
    """The network as a program by `algorithm`, and what its library answers."""
    target = resolve(config.Target(name="host"))
    program = lower(network.exportable(1), (1, *images.shape[1:]), algorithm)
    build_library(program, {}, target.code, target.linker, 3, folder / "model.so")
    return program, run(folder / "model.so", images.numpy(), target)
