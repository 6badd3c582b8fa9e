"""Tile sizes of one loop, made to fit another."""

from __future__ import annotations

import math
from collections.abc import Sequence


def adapted_tiles(extent: int, tiles: Sequence[int], innermost_limit: int) -> list[int]:
    """Factors of `extent`, as many as `tiles`, outermost first; the innermost is at most `innermost_limit`.

    From the innermost outwards each is the divisor of what is left that is nearest to the old one, as a
    ratio: vectors and registers hold what inner tiles say. The outermost takes the rest.
    """
    left, found = extent, []
    for place, tile in enumerate(reversed(tiles[1:])):
        fitting = [
            size for size in range(1, left + 1) if left % size == 0 and (place or size <= innermost_limit)
        ]
        nearest = min(fitting, key=lambda size: (abs(math.log(size / tile)), size))
        found.append(nearest)
        left //= nearest
    return [left, *reversed(found)]
