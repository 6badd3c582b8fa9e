"""Spatial pack on integers: channels in blocks in memory, tiles of pixels by blocks in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.algorithms.layout import activation_block
from dlas.algorithms.shared.integer import direct as integer_direct
from dlas.algorithms.shared.integer import packing as integer_packing
from dlas.algorithms.shared.integer.dot_products import BYTES
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """Spatial pack serves every layer."""
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """Blocks of channels, but for an input whose groups do not begin at a word of four channels."""
    whole_words = workload.group_in_channels % BYTES == 0 or workload.is_depthwise
    return activation_block(workload.in_channels) if whole_words else 1, activation_block(
        workload.out_channels
    )


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights in words of four, and their sums; see `integer_packing`."""
    return integer_packing.pack_weight(workload, weight)


def kernel(workload: ConvWorkload, target: CodeTarget) -> Any:
    """The kernel in TensorIR."""
    return kernel_with(workload, target, parameters(workload, target)[0])


kernel_with, parameters = integer_direct.kernel_with, integer_direct.parameters
