"""Winograd convolution F(4x4, 3x3): 4 times fewer multiplications than direct convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import te

from dlas.algorithms.winograd import convolution, scheduling
from dlas.algorithms.winograd.convolution import Transform, layouts, unsupported
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from dlas.interfaces.targets.code_target import CodeTarget

__all__ = ["compute", "layouts", "pack_weight", "schedule", "unsupported"]

TRANSFORM = Transform(
    input=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    filter=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    output=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)
"""Matrices of Lavin & Gray, section 4.3; their points are 0, 1, -1, 2, -2 and infinity."""


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights, transformed, as float32 (36, O / lanes, I, lanes)."""
    return convolution.pack_weight(TRANSFORM, workload, weight)


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input, weight (36, O / lanes, I, lanes), bias?, residual?, output]."""
    return convolution.compute(TRANSFORM, workload)


def schedule(sch: Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    """Keep chunks of tiles in cache, and sums in registers."""
    scheduling.schedule(TRANSFORM, sch, workload, target)
