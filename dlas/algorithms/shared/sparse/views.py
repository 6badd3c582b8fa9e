"""Views of the input of a sparse kernel: planes from which every weight reads one contiguous run of pixels.

A view of a channel is every stride-th row and column of its zero-bordered plane, from one row and column on,
as wide as the output. The inputs that one weight meets for a run of output pixels, from row to row, are then
a run of one view, whatever the stride, and one offset per weight says where it starts. A task copies the
views that it reads: those of a band of output rows, and of so many channels as its core's cache holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tvm
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.tir_arrays import tasks
from dlas.interfaces.targets.code_target import MAX_LANES
from dlas.interfaces.workload import ConvWorkload

ALIGNMENT = 8
"""Floats that views are aligned to: half a cache line, since CPUs take wide vectors in halves or cross lines
at their ends alone."""

UNALIGNED_COST = 0.45
"""Cost that an unaligned run adds to a multiply-add, as a fraction of one with an aligned run: one CPU, in
512 and in 256 bits."""

COPY_COST = 4
"""Cost of copying a vector into a view, in multiply-adds with a vector in the first-level cache."""

STEP_COST = 2
"""Cost of loading a stored weight and its offset for a run, in multiply-adds."""

PASS_COST = 40
"""Cost of taking up the sums of one run, in multiply-adds: they are loaded and stored, and the end of the
loop over the stored weights is guessed wrong."""

RUN_VECTORS = 8
"""Vectors that are summed together, where the cost of a band is estimated."""

KEPT_WEIGHTS = 0.2
"""The share of weights that is assumed to be left where it counts before it is known."""

MAX_COPIES = 5
"""Start rows of views whose copies are written out: with more, compiling takes seconds."""

OFFSETS = 1 << 16
"""Floats that an offset of two bytes reaches."""

CACHE_BYTES = 32 * 1024
"""Bytes of input that a kernel comes back to: the first-level cache of common CPUs. It is no target's own,
since weights are packed by it before there is a target, and a bundle's program serves them all."""


@dataclass(frozen=True)
class Views:
    """The views of one channel, all of the same shape, and where each position of the kernel reads them."""

    workload: ConvWorkload
    band: int
    """Output rows that the views serve."""
    starts: tuple[tuple[int, int], ...]
    """First row and column of each view in the zero-bordered plane, for the band at output row 0. Every row
    is there with every column."""
    rows: int
    """Rows of each view."""
    columns: int
    """Columns of each view: those of the output, and maybe some that are summed in vain so that rows stay
    aligned."""
    positions: tuple[tuple[int, int], ...]
    """(view, offset in it) that output pixel (0, 0) reads at, for each kernel position (r, s) in order."""

    @property
    def pixels(self) -> int:
        """Pixels to sum for one output channel of a band."""
        return self.band * self.columns

    @property
    def bands(self) -> int:
        """Bands in a plane."""
        return math.ceil(self.workload.out_height / self.band)

    def band_start(self, band: Any) -> Any:
        """The band's first output row: where bands do not divide a plane, the last two overlap."""
        start, height = band * self.band, self.workload.out_height
        return start if height % self.band == 0 else T.min(start, height - self.band)

    @property
    def is_plane(self) -> bool:
        """Whether the one view of a channel is the plane itself."""
        workload = self.workload
        return workload.kernel == workload.stride == (1, 1) and workload.padding == (0, 0, 0, 0)

    @property
    def view_size(self) -> int:
        """Floats from one view to the next."""
        size = self.rows * self.columns
        alignment = min(ALIGNMENT, 1 << (size - 1).bit_length())
        return math.ceil(size / alignment) * alignment

    @property
    def channel_size(self) -> int:
        """Floats from one channel to the next."""
        return len(self.starts) * self.view_size

    @property
    def channels_in_cache(self) -> int:
        """Channels whose views fit `CACHE_BYTES`; at least one."""
        return max(1, CACHE_BYTES // (self.channel_size * np.float32().nbytes))

    @property
    def position_offsets(self) -> list[int]:
        """Offset of each kernel position from the start of its channel."""
        return [view * self.view_size + displacement for view, displacement in self.positions]

    @property
    def copies_cost(self) -> float:
        """Cost of filling the views of a band, in multiply-adds with a vector."""
        vectors = len(self.starts) * math.ceil(self.rows * self.columns / MAX_LANES)
        return self.workload.in_channels * vectors * COPY_COST

    @property
    def sums_cost(self) -> float:
        """Cost of an output channel of a band, in multiply-adds with a vector: the sums, and taking them up
        again for every share of the input channels that the cache holds."""
        vectors = math.ceil(self.pixels / MAX_LANES)
        runs = math.ceil(vectors / RUN_VECTORS)
        steps = math.prod(self.workload.weight_shape[1:]) * KEPT_WEIGHTS
        passes = math.ceil(self.workload.group_in_channels / self.channels_in_cache)
        return (vectors + runs * STEP_COST) * steps + runs * passes * PASS_COST

    @property
    def cost(self) -> float:
        """Cost of the whole layer, in multiply-adds with a vector."""
        workload = self.workload
        return workload.batch * self.bands * (self.sums_cost * workload.out_channels + self.copies_cost)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Offsets (I * H * W,) at which the run of each column of a group's weight matrix starts, from the
        views of the group's first channel on."""
        channels = np.arange(self.workload.group_in_channels) * self.channel_size
        offsets: np.ndarray = (channels[:, None] + np.array(self.position_offsets)).reshape(-1)
        return offsets


def row_copies(workload: ConvWorkload) -> Views:
    """A view per kernel column, and per phase of the vertical stride, about as wide as the output: runs pass
    from row to row."""
    starts, rows = zip(
        *(divmod(place, workload.stride[0])[::-1] for place in _places(workload, 0)), strict=True
    )
    return _views(workload, starts, rows, _aligned_columns(workload.out_width, rows))


def im2col(workload: ConvWorkload) -> Views:
    """A view per kernel position: the im2col matrix, pixels innermost."""
    return _views(workload, _places(workload, 0), (0,) * workload.kernel[0], workload.out_width)


def _aligned_columns(width: int, rows: Sequence[int]) -> int:
    """Columns of views of which the kernel reads from `rows` on: more than `width` if that costs less than
    loads that cross cache lines."""
    padded = ALIGNMENT if width <= ALIGNMENT else -(-width // MAX_LANES) * MAX_LANES
    unaligned = sum(row * width % ALIGNMENT != 0 for row in rows) / len(rows)
    return padded if padded < width * (1 + UNALIGNED_COST * unaligned) else width


def _places(workload: ConvWorkload, axis: int) -> tuple[int, ...]:
    """Row or column of the bordered plane that each kernel row or column reads for output row or column 0."""
    return tuple(index * workload.dilation[axis] for index in range(workload.kernel[axis]))


def _views(workload: ConvWorkload, row_starts: tuple[int, ...], rows: tuple[int, ...], columns: int) -> Views:
    """The views that start at `row_starts` of the bordered plane, of which output row 0 reads rows `rows`;
    of the band that costs the least."""
    positions = [
        ((start, column), row * columns)
        for start, row in zip(row_starts, rows, strict=True)
        for column in _places(workload, 1)
    ]
    starts = tuple(dict.fromkeys(start for start, _ in positions))
    reads = tuple((starts.index(start), displacement) for start, displacement in positions)
    bands = [
        Views(workload, band, starts, band + max(rows), columns, reads)
        for band in range(1, workload.out_height + 1)
    ]
    fitting = [views for views in bands if views.channel_size <= OFFSETS] or bands[:1]
    return min(fitting, key=lambda views: views.cost)


def in_planes(workload: ConvWorkload, data: Any) -> Any:
    """Emit the copy of an input in NCHWc to NCHW, a block of channels per task; both buffers are flat."""
    plane, block = workload.height * workload.width, workload.input_block
    blocks = workload.batch * workload.in_channels // block
    planes = T.buffer_proxy(T.alloc_buffer((blocks * block * plane,), "float32", layout=None))
    with tasks(blocks, blocks * plane) as task, T.serial(plane) as pixel, T.vectorized(block) as lane:
        planes[(task * block + lane) * plane + pixel] = data[(task * plane + pixel) * block + lane]
    return planes


def fill(views: Views, planes: Any, plane: Any, first: Any, viewed: Any, target: Any) -> None:
    """Emit the copy of the input plane that starts at `plane` to the views at `target`, for the band of
    output rows from `first` on; both buffers are flat."""
    workload = views.workload
    if views.is_plane:
        start = T.bind(plane + first * workload.width)
        _copy(views.rows * views.columns, planes, start, 1, viewed, target)
        return
    top, left, _, _ = workload.padding
    down, across = workload.stride
    start_rows, start_columns = (list(dict.fromkeys(places)) for places in zip(*views.starts, strict=True))
    for rows, (index, start_column) in itertools.product(_in_loops(start_rows), enumerate(start_columns)):
        left_end, right_end = _inside(views.columns, start_column - left, across, workload.width)
        with _each(rows) as turn, T.serial(views.rows) as row:
            view = (start_rows.index(rows[0]) + turn) * len(start_columns) + index
            y = T.bind((first + row) * down + turn * rows.step + (rows[0] - top))
            to = T.bind(target + view * views.view_size + row * views.columns)
            with T.If(T.And(y >= 0, y < workload.height)):
                with T.Then():
                    at = plane + y * workload.width + left_end * across + start_column - left
                    _copy(right_end - left_end, planes, at, across, viewed, to + left_end)
                    _clear(left_end, viewed, to)
                    _clear(views.columns - right_end, viewed, to + right_end)
                with T.Else():
                    _clear(views.columns, viewed, to)


def _in_loops(start_rows: Sequence[int]) -> list[range]:
    """The rows in order: all in one loop where they are many and evenly spaced, else each by itself."""
    if len(start_rows) > MAX_COPIES:
        first, step = start_rows[0], start_rows[1] - start_rows[0]
        whole = range(first, first + step * len(start_rows), step)
        if list(whole) == list(start_rows):
            return [whole]
    return [range(row, row + 1) for row in start_rows]


@contextmanager
def _each(rows: range) -> Iterator[Any]:
    """A loop over the rows by their number; none where there is one."""
    if len(rows) == 1:
        yield 0
        return
    with T.serial(len(rows)) as turn:
        yield turn


def _clear(count: int, viewed: Any, target: Any) -> None:
    """Emit the zeros of `count` pixels."""
    lanes = min(MAX_LANES, 1 << (count.bit_length() - 1)) if count else 1
    for first in sorted({min(start, count - lanes) for start in range(0, count, lanes)}):
        viewed[T.Ramp(target + first, 1, lanes) if lanes > 1 else target + first] = _zeros(lanes)


def _zeros(lanes: int) -> Any:
    return T.Broadcast(T.float32(0), lanes) if lanes > 1 else T.float32(0)


def _copy(count: int, planes: Any, source: Any, stride: int, viewed: Any, target: Any) -> None:
    """Emit the copy of `count` pixels, `stride` apart: vectors, of which the last two may overlap."""
    if count == 0:
        return
    lanes = min(MAX_LANES, 1 << (count.bit_length() - 1))

    def copy(first: Any) -> None:
        if stride == 2 and lanes > 1:
            viewed[T.Ramp(target + first, 1, lanes)] = _every_second(planes, source + first * 2, lanes)
            return
        with T.vectorized(lanes) as lane:
            viewed[target + first + lane] = planes[source + (first + lane) * stride]

    with T.serial(count // lanes) as vector:
        copy(vector * lanes)
    if count % lanes:
        copy(count - lanes)


def _every_second(planes: Any, first: Any, lanes: int) -> Any:
    """`lanes` pixels, two apart: of two vectors that end with the last of them, as strided loads are slow."""
    low, high = (planes[T.Ramp(start, 1, lanes)] for start in (first, first + lanes - 1))
    return tvm.tirx.Shuffle([low, high], [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])


def _inside(count: int, start: int, stride: int, extent: int) -> tuple[int, int]:
    """The range of those among `count` places, `stride` apart from `start` on, that lie in [0, extent)."""
    first = min(count, max(0, -(start // stride)))
    last = min(count, max(first, -((start - extent) // stride)))
    return first, last
