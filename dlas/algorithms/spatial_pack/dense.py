"""Spatial pack: channels lie in blocks, innermost (NCHWc), and a tile of pixels by several blocks of output
channels is summed in registers.

A depthwise layer has no channels to sum over: each lane of a block is a channel of its own.

Groups smaller than a block of output channels are merged until they fill one; where one of them has no
weight of its own for another's input, it is zero.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import te

from dlas.algorithms.layout import activation_block, element
from dlas.algorithms.shared.dense import packing
from dlas.algorithms.shared.dense.border import input_placeholder, with_epilogue, zero_padded
from dlas.algorithms.shared.dense.register_tiles import compute_at, share_out, sum_in_registers, tile_output
from dlas.algorithms.shared.dense.tiling import Sums, register_tile
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """A block of output channels must not end inside a group."""
    apart = workload.groups > 1 and activation_block(workload.out_channels) == 1
    return "spatial_pack serves groups only where output channels come in fours" if apart else ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHWc, or NCHW where the channels come in no block."""
    return activation_block(workload.in_channels), activation_block(workload.out_channels)


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights as (blocks, I / c, H, W, c, lanes), I being the input channels of merged groups and c a
    block of them; for a depthwise layer as (blocks, H, W, lanes)."""
    lanes, merged = _lanes(workload), _merged_groups(workload)
    _, channels, height, width = workload.weight_shape
    if workload.is_depthwise:
        blocked = weight.reshape(-1, lanes, height, width)
        return (np.ascontiguousarray(blocked.transpose(0, 2, 3, 1)),)
    group_out = workload.group_out_channels
    dense = np.zeros((_blocks(workload) * lanes, merged * channels, height, width), weight.dtype)
    for channel in range(workload.out_channels):
        first = channel // group_out % merged * channels
        dense[channel, first : first + channels] = weight[channel]
    inner = _reduction_block(workload)
    blocked = dense.reshape(_blocks(workload), lanes, -1, inner, height, width)
    return (np.ascontiguousarray(blocked.transpose(0, 2, 4, 5, 3, 1)),)


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    """[input, weight as `pack_weight` makes it, bias?, residual?, output]."""
    return _depthwise(workload) if workload.is_depthwise else _dense(workload)


def schedule(sch: Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    """Sum a tile of pixels by blocks of channels in registers, then store it; tiles run in parallel."""
    sums = _sums(workload)
    tile = register_tile(sums, target)
    tiles = tile_output(sch, workload, _lanes(workload), tile)
    compute_at(sch, "conv2d", tiles[-1])
    share_out(sch, workload, target, sums, tile, tiles)
    sum_in_registers(sch, "conv2d")


def _dense(workload: ConvWorkload) -> list[te.Tensor]:
    height, width = workload.kernel
    lanes, inner = _lanes(workload), _reduction_block(workload)
    channels = _merged_groups(workload) * workload.group_in_channels
    blocks = _blocks(workload)
    blocks_per_input = blocks * channels // workload.in_channels
    data = input_placeholder(workload)
    packed = (blocks, channels // inner, height, width, inner, lanes)
    weight = te.placeholder(packed, workload.dtype, name="weight")
    padded = zero_padded(workload, data)
    i = te.reduce_axis((0, channels // inner), name="i")
    r = te.reduce_axis((0, height), name="r")
    s = te.reduce_axis((0, width), name="s")
    c = te.reduce_axis((0, inner), name="c")

    def product(n: Any, b: Any, y: Any, x: Any, lane: Any) -> Any:
        channel = b // blocks_per_input * channels + i * inner + c
        value = element(padded, workload.input_block, n, channel, *_input_pixel(workload, y, x, r, s))
        return value.astype(workload.sum_dtype) * weight[b, i, r, s, c, lane].astype(workload.sum_dtype)

    conv2d = te.compute(
        (workload.batch, blocks, workload.out_height, workload.out_width, lanes),
        lambda *index: te.sum(product(*index), axis=[i, r, s, c]),
        name="conv2d",
    )
    return _with_output(workload, [data, weight], conv2d)


def _depthwise(workload: ConvWorkload) -> list[te.Tensor]:
    height, width = workload.kernel
    lanes = _lanes(workload)
    data = input_placeholder(workload)
    weight = te.placeholder((_blocks(workload), height, width, lanes), workload.dtype, name="weight")
    padded = zero_padded(workload, data)
    r = te.reduce_axis((0, height), name="r")
    s = te.reduce_axis((0, width), name="s")

    def product(n: Any, b: Any, y: Any, x: Any, lane: Any) -> Any:
        y, x = _input_pixel(workload, y, x, r, s)
        value = padded[n, b, y, x, lane].astype(workload.sum_dtype)
        return value * weight[b, r, s, lane].astype(workload.sum_dtype)

    conv2d = te.compute(
        (workload.batch, _blocks(workload), workload.out_height, workload.out_width, lanes),
        lambda *index: te.sum(product(*index), axis=[r, s]),
        name="conv2d",
    )
    return _with_output(workload, [data, weight], conv2d)


def _with_output(workload: ConvWorkload, inputs: list[te.Tensor], conv2d: te.Tensor) -> list[te.Tensor]:
    lanes = _lanes(workload)

    def convolved(n: Any, o: Any, y: Any, x: Any) -> Any:
        return conv2d[n, o // lanes, y, x, o % lanes]

    return with_epilogue(workload, inputs, convolved)


def _input_pixel(workload: ConvWorkload, y: Any, x: Any, r: Any, s: Any) -> tuple[Any, Any]:
    return (
        y * workload.stride[0] + r * workload.dilation[0],
        x * workload.stride[1] + s * workload.dilation[1],
    )


def _lanes(workload: ConvWorkload) -> int:
    return workload.output_block if workload.output_block > 1 else packing.weight_block(workload)


def _blocks(workload: ConvWorkload) -> int:
    return -(-workload.out_channels // _lanes(workload))


def _merged_groups(workload: ConvWorkload) -> int:
    return (
        1 if workload.groups == 1 else _lanes(workload) // gcd(_lanes(workload), workload.group_out_channels)
    )


def _reduction_block(workload: ConvWorkload) -> int:
    return gcd(workload.input_block, _merged_groups(workload) * workload.group_in_channels)


def _sums(workload: ConvWorkload) -> Sums:
    merged = _merged_groups(workload)
    channels = 1 if workload.is_depthwise else merged * workload.group_in_channels
    return Sums(
        planes=workload.batch * workload.groups // merged,
        blocks=_blocks(workload) * merged // workload.groups,
        rows=workload.out_height,
        columns=workload.out_width,
        lanes=_lanes(workload),
        steps=channels * workload.kernel[0] * workload.kernel[1],
    )
