"""Layouts of an activation in memory: NCHW, or NCHWc with a block of channels innermost."""

from __future__ import annotations

from typing import Any

from dlas.interfaces.targets.code_target import MAX_LANES, MIN_LANES

MAX_BLOCK = MAX_LANES
"""Channels of the largest block of activations or weights: one AVX-512, two AVX2 or four NEON registers of
float32. It is no target's own: the arrays of a program serve every target that it is built for."""

MIN_BLOCK = MIN_LANES
"""Channels of the smallest block: fewer than a NEON register holds are not worth a layout of their own."""


def activation_block(channels: int) -> int:
    """The block of NCHWc for so many channels: the largest power of two that divides them; 1, NCHW, below
    `MIN_BLOCK`."""
    return next(block for block in (MAX_BLOCK, 8, MIN_BLOCK, 1) if channels % block == 0)


def physical_shape(shape: tuple[int, int, int, int], block: int) -> tuple[int, ...]:
    """Shape in memory of an activation whose NCHW shape is `shape`."""
    batch, channels, height, width = shape
    return shape if block == 1 else (batch, channels // block, height, width, block)


def element(tensor: Any, block: int, n: Any, c: Any, y: Any, x: Any) -> Any:
    """The element (n, c, y, x) of an activation that lies in blocks of `block` channels."""
    return tensor[n, c, y, x] if block == 1 else tensor[n, c // block, y, x, c % block]


def logical_index(block: int, *index: Any) -> tuple[Any, Any, Any, Any]:
    """(n, c, y, x) of the element at `index` in memory."""
    if block == 1:
        n, c, y, x = index
        return n, c, y, x
    n, outer, y, x, inner = index
    return n, outer * block + inner, y, x
