"""int8 weights for dot products: blocks of output channels, in each of them four input channels innermost.

Where the weights of one word go depends on the kind of layer: four input channels of one kernel element, or,
in a depthwise layer, four neighbours of one kernel column.
"""

from __future__ import annotations

import numpy as np

from dlas.algorithms.layout import MAX_BLOCK
from dlas.algorithms.shared.integer.dot_products import BYTES, SIGN_OFFSET
from dlas.interfaces.workload import ConvWorkload

BLOCK = MAX_BLOCK
"""Output channels in a block of weights; the last block may be part empty."""


def group_words(workload: ConvWorkload) -> int:
    """Words of four channels that one pixel of a group takes."""
    return -(-workload.group_in_channels // BYTES)


def steps(workload: ConvWorkload) -> int:
    """Words of weights that an output channel has."""
    return group_words(workload) * workload.kernel[0] * workload.kernel[1]


def group_blocks(workload: ConvWorkload) -> int:
    """Blocks of output channels in one group; the last may be part empty."""
    return -(-workload.group_out_channels // BLOCK)


def column_words(workload: ConvWorkload) -> int:
    """Words of four neighbours that a kernel column of a depthwise layer takes."""
    return -(-workload.kernel[0] // BYTES)


def packed_shape(workload: ConvWorkload) -> tuple[int, ...]:
    """Shape of the weights: (groups, blocks, words, H, W, BLOCK, 4), or depthwise (blocks, words, W, BLOCK,
    4)."""
    if workload.is_depthwise:
        blocks = -(-workload.out_channels // BLOCK)
        return (blocks, column_words(workload), workload.kernel[1], BLOCK, BYTES)
    words, blocks = group_words(workload), group_blocks(workload)
    return (workload.groups, blocks, words, *workload.kernel, BLOCK, BYTES)


def offsets_shape(workload: ConvWorkload) -> tuple[int]:
    """Shape of the sums' offsets, one for every lane of every block."""
    shape = packed_shape(workload)
    return (shape[0] * BLOCK if workload.is_depthwise else shape[0] * shape[1] * BLOCK,)


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """int8 OIHW weights as `packed_shape` says, and the int32 offset of every output channel's sums: what its
    weights add up to for data of `SIGN_OFFSET`, which instructions for signed data leave out."""
    height, width = workload.kernel
    if workload.is_depthwise:
        columns = _filled(_filled(weight.reshape(-1, height, width), 0, BLOCK), 1, BYTES)
        packed = columns.reshape(-1, BLOCK, column_words(workload), BYTES, width).transpose(0, 2, 4, 1, 3)
        sums = packed.sum(axis=(1, 2, 4), dtype=np.int32)
    else:
        grouped = weight.reshape(workload.groups, -1, workload.group_in_channels, height, width)
        channels = _filled(_filled(grouped, 1, BLOCK), 2, BYTES)
        split = channels.reshape(workload.groups, -1, BLOCK, group_words(workload), BYTES, height, width)
        packed = split.transpose(0, 1, 3, 5, 6, 2, 4)
        sums = packed.sum(axis=(2, 3, 4, 6), dtype=np.int32)
    return np.ascontiguousarray(packed), sums.reshape(-1) * np.int32(SIGN_OFFSET)


def _filled(array: np.ndarray, axis: int, multiple: int) -> np.ndarray:
    """`array` with zeros at the end of `axis` up to a multiple of `multiple`."""
    missing = -array.shape[axis] % multiple
    return np.pad(array, [(0, missing if index == axis else 0) for index in range(array.ndim)])
