"""Convolution as matrix multiplication: im2col gathers each output pixel's inputs, then one matmul."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tvm import te

from dlas.algorithms.shared.dense.border import (
    input_placeholder,
    schedule_padding,
    with_epilogue,
    zero_padded,
)
from dlas.algorithms.shared.dense.packing import (
    blocks,
    by_channel,
    group_blocks,
    pack_output_channels,
    packed_sums,
    weight_block,
)
from dlas.algorithms.shared.dense.register_tiles import (
    compute_at,
    parallelize,
    split_off_the_last,
    sum_in_registers,
    tile_output,
)
from dlas.algorithms.shared.dense.tiling import register_tile
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV

    from dlas.interfaces.targets.code_target import CodeTarget

ROWS_PER_CORE = 2
"""Rows of tiles per core below which cores are idle: then blocks of channels share the work too."""


def unsupported(workload: ConvWorkload) -> str:
    """A depthwise layer has no matrix to multiply: each channel is a row of its own."""
    depthwise = workload.groups > 1 and workload.group_in_channels == 1
    return "gemm does not serve depthwise convolutions" if depthwise else ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHW in and out."""
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights as (blocks, I * H * W, weight_block)."""
    return (pack_output_channels(workload, weight).reshape(blocks(workload), -1, weight_block(workload)),)


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input NCHW, weight (blocks, I * H * W, weight_block), bias?, residual?, output NCHW]."""
    height, width = workload.kernel
    channels, lanes = workload.group_in_channels, weight_block(workload)
    depth = channels * height * width
    data = input_placeholder(workload)
    weight = te.placeholder((blocks(workload), depth, lanes), workload.dtype, name="weight")
    padded = zero_padded(workload, data)
    im2col = te.compute(
        (workload.batch, workload.groups, workload.out_height, workload.out_width, depth),
        lambda n, g, y, x, k: padded[
            n,
            g * channels + k // (height * width),
            y * workload.stride[0] + k // width % height * workload.dilation[0],
            x * workload.stride[1] + k % width * workload.dilation[1],
        ],
        name="im2col",
    )
    k = te.reduce_axis((0, depth), name="k")
    matmul = te.compute(
        (workload.batch, blocks(workload), workload.out_height, workload.out_width, lanes),
        lambda n, b, y, x, lane: te.sum(
            im2col[n, b // group_blocks(workload), y, x, k].astype(workload.sum_dtype)
            * weight[b, k, lane].astype(workload.sum_dtype),
            axis=[k],
        ),
        name="matmul",
    )

    return with_epilogue(workload, [data, weight], by_channel(workload, matmul))


def schedule(sch: Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    """Gather the im2col rows of a row of tiles, multiply them by every block of channels, store the tiles.

    Where the plane has too few rows to keep the cores busy, im2col is gathered once, up front, and blocks of
    channels run in parallel as well.
    """
    tile = register_tile(packed_sums(workload), target)
    schedule_padding(sch, workload)
    image, group, blocks, rows, columns = tile_output(sch, workload, weight_block(workload), tile)
    compute_at(sch, "matmul", columns)
    if workload.batch * (workload.out_height // tile.rows) >= ROWS_PER_CORE * target.cores:
        sch.reorder(image, rows, group, blocks, columns)
        compute_at(sch, "im2col", rows)
        _gather(sch, workload)
        sch.parallel(sch.fuse(image, rows))
        if workload.out_width % tile.columns:
            split_off_the_last(sch, columns)
    else:
        sch.parallel(_gather(sch, workload))
        parallelize(sch, workload, tile, [image, group, blocks, rows, columns])
    sum_in_registers(sch, "matmul")


def _gather(sch: Schedule, workload: ConvWorkload) -> LoopRV:
    """Order im2col's loops by the input's own layout; returns the loop over input channels."""
    *_, y, x, depth = sch.get_loops(sch.get_sblock("im2col"))
    channel, r, s = sch.split(depth, [None, *workload.kernel])
    sch.reorder(channel, y, x, r, s)
    sch.unroll(r)
    sch.unroll(s)
    return channel
