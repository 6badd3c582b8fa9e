"""Weights in blocks of output channels, innermost, so that one vector register holds several channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlas.algorithms.workload import ConvWorkload

WIDEST_BLOCK = 16
"""One AVX-512, two AVX2 or four NEON registers of float32."""


def channel_block(workload: ConvWorkload) -> int:
    """Output channels in one block: the least power of two that holds a group's, up to `WIDEST_BLOCK`."""
    return min(WIDEST_BLOCK, 1 << (workload.group_out_channels - 1).bit_length())


def group_blocks(workload: ConvWorkload) -> int:
    """Blocks of output channels in one group; the last may be part empty."""
    return -(-workload.group_out_channels // channel_block(workload))


def blocks(workload: ConvWorkload) -> int:
    """Blocks of output channels over all groups."""
    return workload.groups * group_blocks(workload)


def lanes_straddle_groups(workload: ConvWorkload) -> bool:
    """Whether a group's last block has empty lanes, so that channels and lanes run apart from there on."""
    return workload.groups > 1 and workload.group_out_channels % channel_block(workload) != 0


def pack_output_channels(workload: ConvWorkload, weight: np.ndarray) -> np.ndarray:
    """OIHW weights as (blocks, I, H, W, channel_block); lanes without a channel are zero."""
    block, per_group = channel_block(workload), group_blocks(workload)
    _, channels, height, width = workload.weight_shape
    lanes = np.zeros((workload.groups, per_group * block, channels, height, width), weight.dtype)
    lanes[:, : workload.group_out_channels] = weight.reshape(workload.groups, -1, channels, height, width)
    blocked = lanes.reshape(workload.groups * per_group, block, channels, height, width)
    return np.ascontiguousarray(blocked.transpose(0, 2, 3, 4, 1))


def block_and_lane(workload: ConvWorkload, channel: Any) -> tuple[Any, Any]:
    """Where output channel `channel` (a TE expression) lies: its block and its lane in that block."""
    block = channel_block(workload)
    if not lanes_straddle_groups(workload):
        return channel // block, channel % block
    in_group = channel % workload.group_out_channels
    return channel // workload.group_out_channels * group_blocks(
        workload
    ) + in_group // block, in_group % block
