"""Direct convolution: a pixel sums over input channels and kernel, several output channels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import te

from dlas.algorithms.border import schedule_padding, with_epilogue, zero_padded
from dlas.algorithms.packing import (
    block_and_lane,
    blocks,
    channel_block,
    group_blocks,
    lanes_straddle_groups,
    pack_output_channels,
)
from dlas.algorithms.tiling import pixel_tile
from dlas.algorithms.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from dlas.hardware.target import Target


def unsupported(workload: ConvWorkload) -> str:
    """Direct convolution serves every layer."""
    return ""


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> np.ndarray:
    """OIHW weights as (blocks, I, H, W, channel_block)."""
    return pack_output_channels(workload, weight)


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input NCHW, weight (blocks, I, H, W, channel_block), bias?, residual?, output NCHW]."""
    height, width = workload.kernel
    channels, lanes = workload.group_in_channels, channel_block(workload)
    data = te.placeholder(workload.input_shape, workload.data_dtype, name="data")
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

    def convolved(n: te.Tensor, o: te.Tensor, y: te.Tensor, x: te.Tensor) -> te.Tensor:
        block, lane = block_and_lane(workload, o)
        return conv2d[n, block, y, x, lane]

    return with_epilogue(workload, [data, weight], convolved)


def schedule(sch: Schedule, workload: ConvWorkload, target: Target) -> None:
    """Sum a tile of pixels by a block of channels in registers, then store it; tiles run in parallel."""
    schedule_padding(sch, workload)
    if lanes_straddle_groups(workload):
        _schedule_apart(sch)
    else:
        _schedule_tiled(sch, workload, pixel_tile(workload, target))


def _schedule_tiled(sch: Schedule, workload: ConvWorkload, tile: tuple[int, int]) -> None:
    conv2d, output = sch.get_sblock("conv2d"), sch.get_sblock("output")
    n, o, y, x = sch.get_loops(output)
    block, lane = sch.split(o, [None, channel_block(workload)])
    y_tile, y = sch.split(y, [None, tile[0]])
    x_tile, x = sch.split(x, [None, tile[1]])
    sch.reorder(n, block, y_tile, x_tile, lane, y, x)
    sch.compute_at(conv2d, x_tile, preserve_unit_loops=True)
    sch.set_scope(conv2d, 0, "local")
    sch.parallel(sch.fuse(n, block, y_tile))
    sch.vectorize(x)
    _sum_in_registers(sch)


def _schedule_apart(sch: Schedule) -> None:
    conv2d, output = sch.get_sblock("conv2d"), sch.get_sblock("output")
    n, o, _, x = sch.get_loops(output)
    sch.parallel(sch.fuse(n, o))
    sch.vectorize(x)
    n, block, y, *_ = sch.get_loops(conv2d)
    sch.parallel(sch.fuse(n, block, y))
    _sum_in_registers(sch)


def _sum_in_registers(sch: Schedule) -> None:
    conv2d = sch.get_sblock("conv2d")
    *_, y, x, lane, i, r, s = sch.get_loops(conv2d)
    sch.reorder(i, r, s, y, x, lane)
    sch.unroll(y)
    sch.unroll(x)
    sch.vectorize(lane)
    sch.decompose_reduction(conv2d, i)
