"""The untuned schedule of Winograd convolution: tiles in chunks that stay in cache, sums in registers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from dlas.algorithms.shared.dense.tiling import BYTES_PER_VALUE, divisors, vectors_of
from dlas.algorithms.winograd.convolution import LOAD_COST, Transform, output_blocks, output_lanes, tile_grid
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV, SBlockRV

    from dlas.interfaces.targets.code_target import CodeTarget

MAX_CHUNK_BYTES = 512 << 10
"""Largest size of the transformed inputs of a chunk, and twice that of its products: they should stay in a
core's second-level cache, of which no more is filled where it is larger."""

STREAM_COST = 4
"""Cost of loading a vector of weights from far memory, once for each chunk, in multiply-adds."""

SHARING_COST = 1.1
"""Factor on the cost for reading inputs that other cores transformed, and waiting for them."""

ODD_LINES = (32, 16)
"""Factor and offset, in values, of the distance between two points of the transformed inputs: an odd number
of 64-byte cache lines, so that the points of a tile fall in different sets of the cache."""


@dataclass(frozen=True)
class WinogradTiling:
    """Division of the work into chunks of tiles and blocks of output channels.

    A chunk of tiles is one task that transforms its inputs itself; or, where `shared`, all inputs are
    transformed first, and a task is a chunk of tiles with some blocks of output channels.
    """

    images: int
    """Images in one chunk."""
    runs: int
    """Runs of tiles of each image in one chunk."""
    tiles: int
    """Tiles of each image whose sums are in registers together; a divisor of a run."""
    blocks: int
    """Blocks of output channels whose sums are in registers together."""
    shared: bool


def tiling(transform: Transform, workload: ConvWorkload, target: CodeTarget) -> WinogradTiling:
    """The tiling of least estimated time per multiply-add: idle cores, operands loaded, weights streamed."""
    grid, all_blocks = tile_grid(transform, workload), output_blocks(workload)
    vectors = vectors_of(output_lanes(workload), target)
    tile_bytes = transform.points**2 * BYTES_PER_VALUE
    chunk_bytes = min(target.l2_bytes, MAX_CHUNK_BYTES)

    def cost(tiling: WinogradTiling) -> float:
        loads = 1 / (tiling.images * tiling.tiles) + 1 / (tiling.blocks * vectors)
        chunks = workload.batch // tiling.images * grid.runs // tiling.runs
        tasks = chunks * (all_blocks // tiling.blocks if tiling.shared else 1)
        idle = -(-tasks // target.cores) * target.cores / tasks
        streamed = STREAM_COST / (tiling.images * tiling.runs * grid.run)
        return idle * (1 + LOAD_COST * loads) * (1 + streamed) * (SHARING_COST if tiling.shared else 1)

    def fits(tiling: WinogradTiling) -> bool:
        registers = (tiling.images * tiling.tiles + 1) * tiling.blocks * vectors + 1
        chunk = tiling.images * tiling.runs * grid.run * tile_bytes
        products = chunk * tiling.blocks * output_lanes(workload)
        inputs = 0 if tiling.shared else chunk * workload.in_channels
        cached = products <= chunk_bytes // 2 and inputs <= chunk_bytes
        return registers <= target.vector_registers and (cached or (tiling.images, tiling.runs) == (1, 1))

    candidates = [
        WinogradTiling(images, runs, tiles, blocks, shared)
        for images, runs, tiles, blocks, shared in product(
            divisors(workload.batch),
            divisors(grid.runs),
            divisors(grid.run),
            divisors(all_blocks),
            (False, True),
        )
    ]
    least = WinogradTiling(1, 1, 1, 1, shared=False)
    return min((candidate for candidate in candidates if fits(candidate)), key=cost, default=least)


def schedule(transform: Transform, sch: Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    """Transform the inputs of a chunk of tiles; multiply them by some blocks of channels, a point at a time,
    the sums in registers; transform the products tile by tile and store the output."""
    schedule_tiled(transform, sch, workload, tiling(transform, workload, target))


def schedule_tiled(
    transform: Transform, sch: Schedule, workload: ConvWorkload, tiling: WinogradTiling
) -> None:
    """The schedule for a given tiling."""
    transformed, matmul = sch.get_sblock("transformed"), sch.get_sblock("matmul")
    chunk, block_group, tile = _tile_output(transform, sch, workload, tiling)
    _transform_in_registers(sch, sch.get_sblock("output_tile"), tile)
    _transform_in_registers(sch, sch.get_sblock("output_columns"), tile)
    if tiling.shared:
        sch.reorder(block_group, chunk)
    innermost = chunk if tiling.shared else block_group
    sch.compute_at(matmul, innermost, preserve_unit_loops=True)
    if not tiling.shared:
        sch.compute_at(transformed, chunk, preserve_unit_loops=True)
    _transform_inputs(sch, workload, tiling)
    sch.parallel(sch.fuse(block_group, chunk) if tiling.shared else chunk)
    _sum_in_registers(sch, matmul, tiling)


def _tile_output(
    transform: Transform, sch: Schedule, workload: ConvWorkload, tiling: WinogradTiling
) -> tuple[LoopRV, LoopRV, LoopRV]:
    """The output's loops over chunks, groups of blocks, and tiles."""
    output = sch.get_sblock("output")
    if workload.output_block > 1:
        n, block, y, x, lane = sch.get_loops(output)
        sch.vectorize(lane)
    else:
        n, o, y, x = sch.get_loops(output)
        block, lane = sch.split(o, [None, output_lanes(workload)])
    images, n = sch.split(n, [None, tiling.images])
    row, y = sch.split(y, [None, transform.pixels])
    column, x = sch.split(x, [None, transform.pixels])
    if workload.output_block > 1:
        sch.reorder(row, column, block, n, y, x, lane)
        sch.unroll(y)
        sch.unroll(x)
    else:
        sch.reorder(row, column, block, n, lane, y, x)
    run = tile_grid(transform, workload).run
    chunk, tile = sch.split(sch.fuse(row, column), [None, tiling.runs * run])
    block_group, block = sch.split(block, [None, tiling.blocks])
    sch.reorder(chunk, block_group, block, n, tile)
    chunk = sch.fuse(images, chunk)
    return chunk, block_group, tile


def _transform_inputs(sch: Schedule, workload: ConvWorkload, tiling: WinogradTiling) -> None:
    transformed = sch.get_sblock("transformed")
    *_, point, block, n, run, tile, lane = sch.get_loops(transformed)
    sch.reorder(block, n, run, tile, point, lane)
    _hold_in_registers(sch, point, lane)
    sch.storage_align(transformed, 0, 0, *ODD_LINES)
    column = _transform_in_registers(sch, sch.get_sblock("input_columns"), tile)
    input_tile = sch.get_sblock("input_tile")
    if workload.input_block > 1:
        _transform_in_registers(sch, input_tile, column)
    else:
        _gather(sch, input_tile, tile)
    if tiling.shared:
        sch.parallel(sch.fuse(block, n, run))


def _transform_in_registers(sch: Schedule, block: SBlockRV, loop: LoopRV) -> LoopRV:
    """Compute a tile within `loop`, column by column; returns the loop over columns."""
    sch.compute_at(block, loop, preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    *_, row, column, lane = sch.get_loops(block)
    sch.reorder(column, row, lane)
    _hold_in_registers(sch, column, row, lane)
    return column


def _gather(sch: Schedule, input_tile: SBlockRV, loop: LoopRV) -> None:
    """Read a tile of NCHW within `loop`, channel by channel."""
    sch.compute_at(input_tile, loop, preserve_unit_loops=True)
    sch.set_scope(input_tile, 0, "local")
    *_, row, column, lane = sch.get_loops(input_tile)
    sch.reorder(lane, row, column)


def _sum_in_registers(sch: Schedule, matmul: SBlockRV, tiling: WinogradTiling) -> None:
    store = sch.cache_write(matmul, 0, "local")
    *_, block, n, run, tile, point, lane = sch.get_loops(store)
    tile_group, tile = sch.split(tile, [None, tiling.tiles])
    sch.reorder(point, run, tile_group, n, tile, block, lane)
    sch.compute_at(matmul, tile_group, preserve_unit_loops=True)
    _hold_in_registers(sch, n, tile, block, lane)
    *_, block, n, run, tile, point, lane, c = sch.get_loops(matmul)
    sch.reorder(c, point, run, n, tile, block, lane)
    _hold_in_registers(sch, n, tile, block, lane)
    sch.decompose_reduction(matmul, c)


def _hold_in_registers(sch: Schedule, *loops: LoopRV) -> None:
    *unrolled, lane = loops
    for loop in unrolled:
        sch.unroll(loop)
    sch.vectorize(lane)
