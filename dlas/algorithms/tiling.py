"""How many output pixels an untuned schedule keeps in registers: the cost rule that both algorithms share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlas.algorithms.packing import channel_block
from dlas.algorithms.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.hardware.target import Target

OTHER_REGISTERS = 2
"""One for the broadcast input value, one for the weights; every other register can hold a sum."""

BYTES_PER_VALUE = 4


def register_pixels(workload: ConvWorkload, target: Target) -> int:
    """Output pixels whose sums, `channel_block` each, fit the target's vector registers at once."""
    vectors_per_pixel = -(-channel_block(workload) * BYTES_PER_VALUE // target.vector_bytes)
    return max(1, (target.vector_registers - OTHER_REGISTERS) // vectors_per_pixel)


def largest_divisor(extent: int, limit: int) -> int:
    """The largest divisor of `extent` that is at most `limit`: a tile that leaves no remainder to guard."""
    return max(divisor for divisor in range(1, min(extent, limit) + 1) if extent % divisor == 0)


def pixel_tile(workload: ConvWorkload, target: Target) -> tuple[int, int]:
    """Rows and columns of the output tile in registers: the most pixels, then the widest."""
    pixels = register_pixels(workload, target)
    columns = [divisor for divisor in range(1, workload.out_width + 1) if workload.out_width % divisor == 0]
    tiles = [
        (largest_divisor(workload.out_height, pixels // width), width) for width in columns if width <= pixels
    ]
    return max(tiles, key=lambda tile: (tile[0] * tile[1], tile[1]))


def pixel_run(workload: ConvWorkload, target: Target) -> int:
    """Consecutive output pixels in registers: part of a row, or whole rows; never across a row's end."""
    pixels = register_pixels(workload, target)
    if workload.out_width > pixels:
        return largest_divisor(workload.out_width, pixels)
    return workload.out_width * largest_divisor(workload.out_height, pixels // workload.out_width)
