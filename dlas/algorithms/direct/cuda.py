"""The schedule of `direct` for GPUs: each thread sums some channels of neighbouring pixels in registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tvm

from dlas.algorithms.shared.dense.border import has_padded_stage
from dlas.algorithms.shared.dense.packing import weight_block
from dlas.algorithms.shared.dense.tiling import largest_divisor
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

ENOUGH_THREADS = 8192
"""Threads that keep a small GPU busy: eight blocks of them for each of its eight multiprocessors; fewer leave
it waiting for memory."""

THREADS_PER_BLOCK = 128

AXES = ("blockIdx.y", "blockIdx.x", "threadIdx.y", "threadIdx.x")
"""Thread axes that the loops are bound to: over blocks of channels, stretches of pixels, parts of a block of
channels, and pixels."""

MAX_TILES = ((8, 4), (8, 2), (4, 2), (4, 1), (2, 1))
"""Channels by pixels of a thread, the best use of what is loaded first; none has more than 32 sums."""


@dataclass(frozen=True)
class ThreadTile:
    """Sums of one thread: channels by columns of the output."""

    channels: int
    """Channels of a thread, from one block of output channels."""
    columns: int


def schedule(function: tvm.tirx.PrimFunc, workload: ConvWorkload, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """Schedule for a GPU: threads that lie side by side take pixels that lie side by side, and read the same
    weights."""
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    if has_padded_stage(workload):
        sch.compute_inline(sch.get_sblock("padded"))
    tile, lanes = thread_tile(workload), weight_block(workload)
    parts = lanes // tile.channels
    pixels = workload.out_height * (workload.out_width // tile.columns)
    output, sums = sch.get_sblock("output"), sch.get_sblock("conv2d")
    image, channel, y, x = sch.get_loops(output)
    group, channel = sch.split(channel, [workload.groups, None])
    block, part, channel = sch.split(channel, [None, parts, tile.channels])
    x, column = sch.split(x, [None, tile.columns])
    sch.reorder(image, group, block, part, y, x, channel, column)
    blocks = sch.fuse(image, group, block)
    planes, threads = sch.split(sch.fuse(y, x), [None, min(pixels, THREADS_PER_BLOCK // parts)])
    sch.reorder(blocks, planes, part, threads)
    for loop, axis in zip((blocks, planes, part, threads), AXES, strict=True):
        sch.bind(loop, axis)
    sch.compute_at(sums, threads, preserve_unit_loops=True)
    sch.set_scope(sums, 0, "local")
    axes = len(sch.get(sums).iter_vars)
    *own, first, second, third = sch.get_loops(sums)[-axes:]
    sch.reorder(first, second, third, *own)
    for loop in (channel, column, *own):
        sch.unroll(loop)
    sch.decompose_reduction(sums, first)
    return sch.mod["main"]


def thread_tile(workload: ConvWorkload) -> ThreadTile:
    """The largest tile that leaves `ENOUGH_THREADS`; the smallest where none does."""
    lanes = weight_block(workload)
    outputs = workload.batch * workload.out_channels * workload.out_height * workload.out_width
    tiles = [
        ThreadTile(largest_divisor(lanes, channels), largest_divisor(workload.out_width, columns))
        for channels, columns in MAX_TILES
    ]
    enough = (tile for tile in tiles if outputs // (tile.channels * tile.columns) >= ENOUGH_THREADS)
    return next(enough, ThreadTile(1, 1))
