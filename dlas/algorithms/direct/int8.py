"""Direct convolution on integers: tiles of pixels by channels in registers, planes of channels in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.algorithms.shared.integer import direct as integer_direct
from dlas.algorithms.shared.integer import packing as integer_packing
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """Direct convolution serves every layer."""
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHW in and out."""
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights in words of four, and their sums; see `integer_packing`."""
    return integer_packing.pack_weight(workload, weight)


def kernel(workload: ConvWorkload, target: CodeTarget) -> Any:
    """The kernel in TensorIR."""
    return kernel_with(workload, target, parameters(workload, target)[0])


kernel_with, parameters = integer_direct.kernel_with, integer_direct.parameters
