"""The cost rule of the untuned schedules: which tile of pixels by output channels is summed in registers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

BYTES_PER_VALUE = 4

MIN_PARALLEL_VALUES = 32768
"""Values to move below which waking the other threads costs more than it saves."""

SUMS_IN_FLIGHT = 8
"""Multiply-adds that a core can have under way: fewer sums in a tile wait for each other."""

STACK_BYTES = 1023
"""Bytes of the largest array that TVM puts on the stack, from where LLVM takes it into registers; a larger
one is allocated anew for every tile."""

WEIGHT_STREAMS = 8
"""Largest number of blocks of output channels in a tile: each reads its own run of weights, and hardware
fetches no more runs ahead."""

STORE_COST = 2
"""Multiply-adds in whose time a vector of sums is zeroed and stored."""

TILE_COST, STEP_COST = 20, 1
"""Multiply-adds in whose time a tile's addresses are found, and a step of its reduction is counted."""


@dataclass(frozen=True)
class Sums:
    """Sums of one convolution: planes of pixels by blocks of output channels."""

    planes: int
    """Planes of input: one for each image and group."""
    blocks: int
    """Blocks of output channels, for each plane."""
    rows: int
    columns: int
    lanes: int
    """Output channels in a block."""
    steps: int
    """Products in each sum."""


@dataclass(frozen=True)
class DenseTile:
    """The part of the sums that is in registers at once."""

    blocks: int
    rows: int
    columns: int
    """Columns of a tile; the last tile of a row may have fewer."""


def register_tile(sums: Sums, target: CodeTarget) -> DenseTile:
    """The tile of the least cost."""
    vectors = vectors_of(sums.lanes, target)
    sums_at_most = STACK_BYTES // (sums.lanes * BYTES_PER_VALUE)
    candidates = [
        DenseTile(blocks, rows, columns)
        for blocks, rows in product(divisors(sums.blocks), divisors(sums.rows))
        for columns in even_parts(sums.columns)
        if blocks * vectors * (rows * columns + 1) + 1 <= target.vector_registers
        and blocks * rows * columns <= sums_at_most
        and blocks <= WEIGHT_STREAMS
    ]
    return min(candidates, key=lambda tile: _cost(sums, tile, target), default=DenseTile(1, 1, 1))


def vectors_of(lanes: int, target: CodeTarget) -> int:
    """The vector registers that `lanes` float32 values take."""
    return -(-lanes // target.lanes)


def _cost(sums: Sums, tile: DenseTile, target: CodeTarget) -> float:
    """Cost of all the sums, as the number of multiply-adds with one vector that take the same time.

    A step of a tile takes a multiply-add per sum, a load per pixel and one per vector of weights, and no less
    than what `SUMS_IN_FLIGHT` sums do. Where tasks don't come out even, cores wait for the last.
    """
    weights = tile.blocks * vectors_of(sums.lanes, target)

    def cost(columns: int) -> int:
        pixels = tile.rows * columns
        step = max(pixels * weights, pixels + weights, SUMS_IN_FLIGHT) + STEP_COST
        return sums.steps * step + pixels * weights * STORE_COST + TILE_COST if columns else 0

    whole, rest = divmod(sums.columns, tile.columns)
    row = whole * cost(tile.columns) + cost(rest)
    rows = sums.planes * (sums.blocks // tile.blocks) * (sums.rows // tile.rows)
    tasks = rows * (1 if rest else whole)
    return row * rows * (-(-tasks // target.cores) * target.cores / tasks)


def divisors(extent: int) -> list[int]:
    """Divisors of `extent`, ascending."""
    return [divisor for divisor in range(1, extent + 1) if extent % divisor == 0]


def even_parts(extent: int) -> list[int]:
    """The sizes of parts that `extent` comes apart in as evenly as can be, one for each number of parts."""
    return sorted({-(-extent // parts) for parts in range(1, extent + 1)})


def largest_divisor(extent: int, limit: int) -> int:
    """The largest divisor of `extent` that is at most `limit`: a tile that leaves no remainder to guard."""
    return max(divisor for divisor in range(1, min(extent, limit) + 1) if extent % divisor == 0)
