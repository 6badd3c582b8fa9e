"""Weights in blocks of output channels, innermost, so that one vector register holds several channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlas.algorithms.layout import MAX_BLOCK
from dlas.algorithms.shared.dense.tiling import Sums, largest_divisor
from dlas.interfaces.workload import ConvWorkload


def weight_block(workload: ConvWorkload) -> int:
    """Output channels in one block, up to `MAX_BLOCK`: the least power of two that holds them all, or else
    the widest; with groups the most that divide a group's, so that no block ends inside a group."""
    if workload.groups > 1:
        return largest_divisor(workload.group_out_channels, MAX_BLOCK)
    return min(MAX_BLOCK, 1 << (workload.out_channels - 1).bit_length())


def group_blocks(workload: ConvWorkload) -> int:
    """Blocks of output channels in one group; the last may be part empty."""
    return -(-workload.group_out_channels // weight_block(workload))


def blocks(workload: ConvWorkload) -> int:
    """Blocks of output channels over all groups."""
    return workload.groups * group_blocks(workload)


def pack_output_channels(workload: ConvWorkload, weight: np.ndarray) -> np.ndarray:
    """OIHW weights as (blocks, I, H, W, weight_block); lanes without a channel are zero."""
    block = weight_block(workload)
    channels, *inner = weight.shape
    lanes = np.zeros((blocks(workload) * block, *inner), weight.dtype)
    lanes[:channels] = weight
    return np.ascontiguousarray(lanes.reshape(-1, block, *inner).transpose(0, 2, 3, 4, 1))


def packed_sums(workload: ConvWorkload) -> Sums:
    """Sums of the workload, in blocks of output channels."""
    return Sums(
        planes=workload.batch * workload.groups,
        blocks=group_blocks(workload),
        rows=workload.out_height,
        columns=workload.out_width,
        lanes=weight_block(workload),
        steps=workload.group_in_channels * workload.kernel[0] * workload.kernel[1],
    )


def by_channel(workload: ConvWorkload, sums: Any) -> Callable[[Any, Any, Any, Any], Any]:
    """A function from image, output channel, row and column, as TE expressions, to the sum there; `sums` has
    blocks of channels: (n, block, y, x, lane)."""
    lanes = weight_block(workload)
    return lambda n, channel, y, x: sums[n, channel // lanes, y, x, channel % lanes]
