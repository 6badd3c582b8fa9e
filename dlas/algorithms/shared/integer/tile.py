"""Tiles of sums that an integer convolution keeps in registers: the cost rule, and those that a tuner may
try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from dlas.algorithms.shared.integer.dot_products import BYTES, DotProduct
from dlas.algorithms.shared.integer.packing import packed_shape, steps
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

MIN_STEP = 10
"""Instructions in whose time an addition to a register is done, so that the next one need not wait."""

STEP_COST, STORE_COST = 5, 10
"""Instructions that count a step of a tile, and that requantize and store one of its registers."""


@dataclass(frozen=True)
class IntegerTile:
    """Sums that a core keeps in registers at once: some pixels by some vectors of channels."""

    rows: int
    columns: int
    vectors: int
    weights_stay: bool
    """Whether a core keeps to its part of the weights; else to its part of the plane."""

    @property
    def pixels(self) -> int:
        return self.rows * self.columns


def tiles(
    workload: ConvWorkload, plane: tuple[int, int], words: int, dot: DotProduct, target: CodeTarget
) -> tuple[IntegerTile, ...]:
    """Tiles that fit the registers, those of the fewest instructions first, over a plane of (rows, columns)
    with so many `words` of data behind it. Of weights and data, the larger stays with a core.

    A step of a tile broadcasts a word per pixel, loads a register of weights per vector, and multiplies every
    pair of them. Tiles at the border of the plane overlap with their neighbours, so that all have one shape:
    what they compute twice counts against them, and so do cores without a tile.
    """
    vectors = -(-workload.group_out_channels // dot.lanes)

    def fits(tile: IntegerTile) -> bool:
        used = tile.pixels * tile.vectors + tile.vectors + 1 + dot.temporaries
        return used <= target.vector_registers

    def cost(tile: IntegerTile) -> tuple[float, int]:
        registers = tile.pixels * tile.vectors
        step = max(registers * dot.cost + tile.pixels + tile.vectors + STEP_COST, MIN_STEP)
        bands = workload.batch * workload.groups * -(-plane[0] // tile.rows) * -(-vectors // tile.vectors)
        tiles = -(-bands // target.cores) * -(-plane[1] // tile.columns)
        return tiles * (steps(workload) * step + registers * STORE_COST), -tile.columns

    extents = (min(extent, target.vector_registers) for extent in (*plane, vectors))
    weights_stay = prod(packed_shape(workload)) // BYTES > words
    sizes = product(*(range(1, extent + 1) for extent in extents))
    every = [IntegerTile(rows, columns, vectors, weights_stay) for rows, columns, vectors in sizes]
    return tuple(
        replace(tile, weights_stay=stay)
        for tile in sorted(filter(fits, every), key=cost)
        for stay in (weights_stay, not weights_stay)
    )
