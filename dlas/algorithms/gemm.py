"""Convolution as matrix multiplication: im2col gathers each output pixel's inputs, then one matmul."""

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
from dlas.algorithms.tiling import pixel_run
from dlas.algorithms.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV

    from dlas.hardware.target import Target

RUNS_PER_CORE = 2
"""Fewer runs of pixels than this leave cores idle: then blocks of channels share the work too."""


def unsupported(workload: ConvWorkload) -> str:
    """A depthwise layer has no matrix to multiply: each channel is a row of its own."""
    depthwise = workload.groups > 1 and workload.group_in_channels == 1
    return "gemm does not serve depthwise convolutions" if depthwise else ""


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> np.ndarray:
    """OIHW weights as (blocks, I * H * W, channel_block)."""
    return pack_output_channels(workload, weight).reshape(blocks(workload), -1, channel_block(workload))


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input NCHW, weight (blocks, I * H * W, channel_block), bias?, residual?, output NCHW]."""
    height, width = workload.kernel
    channels, lanes = workload.group_in_channels, channel_block(workload)
    depth, pixels = channels * height * width, workload.out_height * workload.out_width
    data = te.placeholder(workload.input_shape, workload.data_dtype, name="data")
    weight = te.placeholder((blocks(workload), depth, lanes), workload.dtype, name="weight")
    padded = zero_padded(workload, data)
    im2col = te.compute(
        (workload.batch, workload.groups, pixels, depth),
        lambda n, g, p, k: padded[
            n,
            g * channels + k // (height * width),
            p // workload.out_width * workload.stride[0] + k // width % height * workload.dilation[0],
            p % workload.out_width * workload.stride[1] + k % width * workload.dilation[1],
        ],
        name="im2col",
    )
    k = te.reduce_axis((0, depth), name="k")
    matmul = te.compute(
        (workload.batch, blocks(workload), pixels, lanes),
        lambda n, b, p, lane: te.sum(
            im2col[n, b // group_blocks(workload), p, k].astype(workload.sum_dtype)
            * weight[b, k, lane].astype(workload.sum_dtype),
            axis=[k],
        ),
        name="matmul",
    )

    def convolved(n: te.Tensor, o: te.Tensor, y: te.Tensor, x: te.Tensor) -> te.Tensor:
        block, lane = block_and_lane(workload, o)
        return matmul[n, block, y * workload.out_width + x, lane]

    return with_epilogue(workload, [data, weight], convolved)


def schedule(sch: Schedule, workload: ConvWorkload, target: Target) -> None:
    """Gather the im2col rows of a run of pixels, multiply them by every block of channels, store the run.

    Where the plane is too small to keep the cores busy with runs of pixels, im2col is gathered once, up
    front, and blocks of channels run in parallel as well.
    """
    schedule_padding(sch, workload)
    if lanes_straddle_groups(workload):
        _schedule_apart(sch, workload)
        return
    run = pixel_run(workload, target)
    runs = workload.batch * workload.out_height * workload.out_width // run
    matmul, output, im2col = (sch.get_sblock(name) for name in ("matmul", "output", "im2col"))
    n, o, y, x = sch.get_loops(output)
    block, lane = sch.split(o, [None, channel_block(workload)])
    run_index, pixel = sch.split(sch.fuse(y, x), [None, run])
    sch.reorder(n, run_index, block, lane, pixel)
    sch.compute_at(matmul, block, preserve_unit_loops=True)
    sch.set_scope(matmul, 0, "local")
    sch.vectorize(pixel)
    if runs >= RUNS_PER_CORE * target.cores:
        sch.compute_at(im2col, run_index, preserve_unit_loops=True)
        sch.parallel(sch.fuse(n, run_index))
        _gather(sch, workload)
    else:
        sch.parallel(sch.fuse(n, run_index, block))
        sch.parallel(_gather(sch, workload))
    _sum_in_registers(sch)


def _schedule_apart(sch: Schedule, workload: ConvWorkload) -> None:
    n, o, _, x = sch.get_loops(sch.get_sblock("output"))
    sch.parallel(sch.fuse(n, o))
    sch.vectorize(x)
    n, block, *_ = sch.get_loops(sch.get_sblock("matmul"))
    sch.parallel(sch.fuse(n, block))
    sch.parallel(_gather(sch, workload))
    _sum_in_registers(sch)


def _gather(sch: Schedule, workload: ConvWorkload) -> LoopRV:
    """Order im2col's loops by the input's own layout; returns the loop over input channels."""
    *_, pixel, depth = sch.get_loops(sch.get_sblock("im2col"))
    channel, r, s = sch.split(depth, [None, *workload.kernel])
    sch.reorder(channel, pixel, r, s)
    sch.unroll(r)
    sch.unroll(s)
    return channel


def _sum_in_registers(sch: Schedule) -> None:
    matmul = sch.get_sblock("matmul")
    *_, pixel, lane, k = sch.get_loops(matmul)
    sch.reorder(k, pixel, lane)
    sch.unroll(pixel)
    sch.vectorize(lane)
    sch.decompose_reduction(matmul, k)
