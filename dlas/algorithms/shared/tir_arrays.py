"""Arrays of a kernel in TensorIR, read and written by vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tvm.script.ir_builder import tirx as T

MIN_PARALLEL_INSTRUCTIONS = 1 << 15
"""Vector instructions below which waking threads takes longer than the work."""


def tasks(count: Any, instructions: float) -> Any:
    """A loop over `count` tasks, in parallel where they take so many vector instructions that it pays."""
    return T.parallel(count) if instructions >= MIN_PARALLEL_INSTRUCTIONS else T.serial(count)


def flat(buffer: Any, dtype: str, size: int) -> Any:
    """The memory of an argument as an array of `size` elements."""
    return T.decl_buffer((size,), dtype, data=buffer.data)


def load(buffer: Any, first: Any, lanes: int) -> Any:
    """`lanes` elements from `first` on."""
    return buffer[T.Ramp(first, 1, lanes)] if lanes > 1 else buffer[first]


def store(buffer: Any, first: Any, value: Any, lanes: int) -> None:
    """Write a vector of `lanes` elements from `first` on."""
    T.buffer_store(buffer, value, [T.Ramp(first, 1, lanes) if lanes > 1 else first])


def vectors(extent: int, lanes: int) -> tuple[int, int]:
    """Number of vectors that cover `extent` elements, and their lanes; the last may overlap with its
    neighbour.

    The lanes are a power of two, at most `lanes`.
    """
    width = min(lanes, 1 << (extent.bit_length() - 1))
    return -(-extent // width), width


@contextmanager
def each_vector(extent: int, lanes: int) -> Iterator[tuple[Any, int]]:
    """A loop over the (first element, lanes) of the vectors that cover `extent` elements."""
    count, width = vectors(extent, lanes)
    with T.serial(count) as index:
        yield (T.min(index * width, extent - width) if extent % width else index * width), width
