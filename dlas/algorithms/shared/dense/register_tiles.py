"""The schedule that the algorithms share: tiles of pixels by blocks of output channels, summed in registers.

It serves a TE block of sums (n, block, y, x, lane) over any reduction axes, and the epilogue "output".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlas.algorithms.shared.dense.border import has_padded_stage, schedule_padding
from dlas.algorithms.shared.dense.tiling import BYTES_PER_VALUE, DenseTile, Sums, largest_divisor
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV

    from dlas.interfaces.targets.code_target import CodeTarget

L2_SHARE, MAX_INPUT_BYTES = 1 / 2, 1 << 17
"""Limits of a task's input: half of the core's second-level cache, and at most 128 KiB. That is half of the
smallest caches that this was measured on; larger ones are not filled further."""

TASKS_PER_CORE = 4
"""Smallest number of tasks per core, so that no core waits long for another's last task."""


def tile_output(sch: Schedule, workload: ConvWorkload, lanes: int, tile: DenseTile) -> list[LoopRV]:
    """Split the output into tiles, each stored a vector at a time; returns the loops over tiles: images,
    groups, blocks, rows, columns."""
    loops = sch.get_loops(sch.get_sblock("output"))
    blocked = workload.output_block > 1
    if blocked:
        image, block, y, x, lane = loops
        group, block = sch.split(block, [1, None])
    else:
        image, channel, y, x = loops
        group, channel = sch.split(channel, [workload.groups, None])
        block, lane = sch.split(channel, [None, lanes])
    block_tile, block = sch.split(block, [None, tile.blocks])
    y_tile, y = sch.split(y, [None, tile.rows])
    x_tile, x = sch.split(x, [None, tile.columns])
    if blocked:
        sch.reorder(image, group, block_tile, y_tile, x_tile, block, y, x, lane)
        for loop in (block, y, x):
            sch.unroll(loop)
        sch.vectorize(lane)
    else:
        sch.reorder(image, group, block_tile, y_tile, x_tile, block, lane, y, x)
        sch.unroll(y)
        sch.vectorize(x)
    return [image, group, block_tile, y_tile, x_tile]


def compute_at(sch: Schedule, block: str, loop: LoopRV) -> None:
    """Compute the block a tile at a time, whatever the extents."""
    sch.compute_at(sch.get_sblock(block), loop, preserve_unit_loops=True)


def share_out(
    sch: Schedule,
    workload: ConvWorkload,
    target: CodeTarget,
    sums: Sums,
    tile: DenseTile,
    tiles: list[LoopRV],
) -> None:
    """Parallelize the loops over the tiles, and the border; where no two tasks read the same channels, the
    border is filled within the tasks, some rows at a time."""
    if has_padded_stage(workload) and workload.groups > 1 and tile.blocks == sums.blocks:
        *outer, rows, columns = tiles
        chunks, rows = sch.split(rows, [None, _rows_in_cache(workload, target, sums, tile)])
        task = sch.fuse(*outer, chunks)
        compute_at(sch, "padded", task)
        sch.vectorize(sch.get_loops(sch.get_sblock("padded"))[-1])
        sch.parallel(task)
        if workload.out_width % tile.columns:
            split_off_the_last(sch, columns)
    else:
        schedule_padding(sch, workload)
        parallelize(sch, workload, tile, tiles)


def _rows_in_cache(workload: ConvWorkload, target: CodeTarget, sums: Sums, tile: DenseTile) -> int:
    """Rows of tiles whose input stays in a core's cache; fewer where the cores would wait for each other."""
    _, left, _, right = workload.padding
    channels = workload.batch * workload.in_channels // sums.planes
    row = (workload.width + left + right) * channels * BYTES_PER_VALUE * workload.stride[0] * tile.rows
    row_tiles = sums.rows // tile.rows
    cached = max(1, min(int(target.l2_bytes * L2_SHARE), MAX_INPUT_BYTES) // row)
    shared = max(1, sums.planes * row_tiles // (TASKS_PER_CORE * target.cores))
    return largest_divisor(row_tiles, min(cached, shared))


def parallelize(sch: Schedule, workload: ConvWorkload, tile: DenseTile, tiles: list[LoopRV]) -> None:
    """Share out all tiles among the cores; where the last of a row is narrower, it gets code of its own."""
    if workload.out_width % tile.columns == 0:
        sch.parallel(sch.fuse(*tiles))
    else:
        split_off_the_last(sch, tiles[-1])
        sch.parallel(sch.fuse(*tiles[:-1]))


def split_off_the_last(sch: Schedule, tiles: LoopRV) -> None:
    """Give the last of these tiles, which is narrower, code of its own: no other then asks where it ends."""
    sch.annotate(tiles, "pragma_loop_partition_hint", 1)


def sum_in_registers(sch: Schedule, sums: str) -> None:
    """Take every sum of a tile through a step of the reduction before the next; call it last."""
    block = sch.get_sblock(sums)
    axes = len(sch.get(block).iter_vars)
    _, channels, y, x, lane, *reduced = sch.get_loops(block)[-axes:]
    sch.reorder(*reduced, channels, y, x, lane)
    for loop in (channels, y, x):
        sch.unroll(loop)
    sch.vectorize(lane)
    sch.decompose_reduction(block, reduced[0])
