"""Direct convolution: a pixel sums over input channels and kernel, several output channels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import te

from dlas.algorithms.shared.dense.border import input_placeholder, with_epilogue, zero_padded
from dlas.algorithms.shared.dense.packing import (
    blocks,
    by_channel,
    group_blocks,
    pack_output_channels,
    packed_sums,
    weight_block,
)
from dlas.algorithms.shared.dense.register_tiles import compute_at, share_out, sum_in_registers, tile_output
from dlas.algorithms.shared.dense.tiling import register_tile
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """Direct convolution serves every layer."""
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHW in and out."""
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights as (blocks, I, H, W, weight_block)."""
    return (pack_output_channels(workload, weight),)


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input NCHW, weight (blocks, I, H, W, weight_block), bias?, residual?, output NCHW]."""
    height, width = workload.kernel
    channels, lanes = workload.group_in_channels, weight_block(workload)
    data = input_placeholder(workload)
    weight = te.placeholder((blocks(workload), channels, height, width, lanes), workload.dtype, name="weight")
    padded = zero_padded(workload, data)
    i = te.reduce_axis((0, channels), name="i")
    r = te.reduce_axis((0, height), name="r")
    s = te.reduce_axis((0, width), name="s")
    conv2d = te.compute(
        (workload.batch, blocks(workload), workload.out_height, workload.out_width, lanes),
        lambda n, b, y, x, lane: te.sum(
            padded[
                n,
                b // group_blocks(workload) * channels + i,
                y * workload.stride[0] + r * workload.dilation[0],
                x * workload.stride[1] + s * workload.dilation[1],
            ].astype(workload.sum_dtype)
            * weight[b, i, r, s, lane].astype(workload.sum_dtype),
            axis=[i, r, s],
        ),
        name="conv2d",
    )

    return with_epilogue(workload, [data, weight], by_channel(workload, conv2d))


def schedule(sch: Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    """Sum a tile of pixels by blocks of channels in registers, then store it; tiles run in parallel."""
    sums = packed_sums(workload)
    tile = register_tile(sums, target)
    tiles = tile_output(sch, workload, weight_block(workload), tile)
    compute_at(sch, "conv2d", tiles[-1])
    share_out(sch, workload, target, sums, tile, tiles)
    sum_in_registers(sch, "conv2d")
