"""Convolution as matrix multiplication: im2col gathers each output pixel's inputs, then one matmul."""

from __future__ import annotations

import numpy as np
from tvm import te

from dlas.algorithms.border import with_epilogue, zero_padded
from dlas.algorithms.packing import block_and_lane, blocks, channel_block, group_blocks, pack_output_channels
from dlas.algorithms.workload import ConvWorkload


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
    data = te.placeholder(workload.input_shape, workload.dtype, name="data")
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
        lambda n, b, p, lane: te.sum(im2col[n, b // group_blocks(workload), p, k] * weight[b, k, lane], axis=[k]),
        name="matmul",
    )

    def convolved(n: te.Tensor, o: te.Tensor, y: te.Tensor, x: te.Tensor) -> te.Tensor:
        block, lane = block_and_lane(workload, o)
        return matmul[n, block, y * workload.out_width + x, lane]

    return with_epilogue(workload, [data, weight], convolved)
