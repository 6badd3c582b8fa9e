"""Networks by the kernels of a tuner, for the scripts that compare tuners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import layers
import numpy as np
import torch

from dlas import config, models
from dlas.hardware.timing.race import race
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules, TuningTask
from dlas.systems.choices import scheduling
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library

NETWORKS = {**layers.NETWORKS, "resnet20": ("dlas.models.resnet.resnet20", 32)}
OPT_LEVEL = 3


def program(network: str, algorithm: str) -> LoweredProgram:
    """A network with random weights, every convolution by `algorithm` where that serves it."""
    factory, size = NETWORKS[network]
    built = models.build(config.Model(network, factory), classes=10 if size == 32 else 1000).eval()
    return lower(built, (1, 3, size, size), algorithm)


def tasks(lowered: LoweredProgram) -> list[TuningTask]:
    """What there is to tune in it."""
    return [*scheduling.kernel_tasks(lowered).values()]


def library(lowered: LoweredProgram, schedules: Schedules, target: Target, folder: Path) -> Path:
    """The network built with each schedule that is right and faster in it, in the new `folder`."""
    folder.mkdir()
    kernels = scheduling.choose(lowered, schedules, target, OPT_LEVEL, folder).tuned
    path = folder / "network.so"
    build_library(lowered, kernels, target.code, target.linker, OPT_LEVEL, path)
    return path


def untuned(lowered: LoweredProgram, target: Target, folder: Path) -> Path:
    """The network by untuned schedules, in `folder`."""
    path = folder / "untuned.so"
    build_library(lowered, {}, target.code, target.linker, OPT_LEVEL, path)
    return path


def medians(libraries: Sequence[Path], network: str, target: Target) -> list[float]:
    """Milliseconds of each, in turn in one process."""
    _, size = NETWORKS[network]
    image = torch.rand(1, 3, size, size).numpy().astype(np.float32)
    return [contender.median_ms for contender in race(libraries, image, target).contenders]
