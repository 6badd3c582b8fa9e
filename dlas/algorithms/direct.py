"""Direct convolution: every output pixel sums over input channels and kernel, several output channels at once."""

from __future__ import annotations

import numpy as np
from tvm import te

from dlas.algorithms.border import with_epilogue, zero_padded
from dlas.algorithms.packing import block_and_lane, blocks, channel_block, group_blocks, pack_output_channels
from dlas.algorithms.workload import ConvWorkload


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
    data = te.placeholder(workload.input_shape, workload.dtype, name="data")
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
            ]
            * weight[b, i, r, s, lane],
            axis=[i, r, s],
        ),
        name="conv2d",
    )

    def convolved(n: te.Tensor, o: te.Tensor, y: te.Tensor, x: te.Tensor) -> te.Tensor:
        block, lane = block_and_lane(workload, o)
        return conv2d[n, block, y, x, lane]

    return with_epilogue(workload, [data, weight], convolved)
