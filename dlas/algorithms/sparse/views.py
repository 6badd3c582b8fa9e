"""How a sparse kernel sees its input: planes from which every weight reads one contiguous run of pixels.

A view of a channel is every stride-th row and column of its zero-bordered plane, from one row and column on,
as wide as the output. The inputs that one weight meets for a run of output pixels, from row to row, are then
a run of one view, whatever the stride, and one offset per weight says where it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tvm
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.tir_arrays import tasks
from dlas.algorithms.workload import ConvWorkload

WIDEST_VECTOR = 16
"""Floats."""

ALIGNMENT = 8
"""Floats: half a cache line, since CPUs take wide vectors in halves or cross lines at their ends alone."""

UNALIGNED_COST = 0.45
"""Of a multiply-add with an unaligned run, over one with an aligned run: one CPU, in 512 and in 256 bits."""

COPY_COST = 5
"""Of a vector to an aligned place, in multiply-adds: measured on AVX-512, more where the cache is small."""

KEPT_WEIGHTS = 0.2
"""The share of weights that is assumed to be left where it counts before it is known."""

CACHE_BYTES = 32 * 1024
"""Of input that a kernel comes back to: the first-level cache of common CPUs."""

PLANE_BYTES = 64 * 1024
"""Of input that is still read anew for each output channel, so that outputs are written plane by plane."""

GROUP_FOOTPRINT = 1024
"""Floats of one channel to read before the next output channel: with less the weights are read, and outputs
written, in too small pieces; with more the inputs of too few channels fit the cache."""


@dataclass(frozen=True)
class Views:
    """The views of one channel, all of the same shape, and where each position of the kernel reads them."""

    workload: ConvWorkload
    starts: tuple[tuple[int, int], ...]
    """Of each view: the first row and column in the zero-bordered plane."""
    rows: int
    """Of each view."""
    columns: int
    """Of each view: those of the output, and maybe some that are summed in vain so that rows stay aligned."""
    positions: tuple[tuple[int, int], ...]
    """Of each kernel position (r, s) in order: its view, and where in it output pixel (0, 0) reads."""

    @property
    def pixels(self) -> int:
        """To sum for one output channel."""
        return self.workload.out_height * self.columns

    @property
    def alignment(self) -> int:
        """Floats: of the start of a view; one that is smaller starts at a multiple of its size, and one that
        is as good in place, in few multiply-adds per pixel, where it lies."""
        if self._covers_the_input and self._multiply_adds * UNALIGNED_COST < COPY_COST:
            return 1
        return min(ALIGNMENT, 1 << (self.rows * self.columns - 1).bit_length())

    @property
    def view_size(self) -> int:
        """Floats from one view to the next."""
        return -(-self.rows * self.columns // self.alignment) * self.alignment

    @property
    def channel_size(self) -> int:
        """Floats from one channel to the next."""
        return len(self.starts) * self.view_size

    @property
    def size(self) -> int:
        """Floats of all channels of the batch."""
        return self.workload.batch * self.workload.in_channels * self.channel_size

    @property
    def is_the_input(self) -> bool:
        """Whether the only view is the input as it lies in memory."""
        return self._covers_the_input and self.view_size == self.rows * self.columns

    @property
    def _covers_the_input(self) -> bool:
        """Whether the only view is a channel of the input."""
        workload = self.workload
        return (
            self.starts == ((0, 0),)
            and workload.stride == (1, 1)
            and not any(workload.padding)
            and workload.input_block == 1
            and self.rows * self.columns == workload.height * workload.width
        )

    @property
    def _multiply_adds(self) -> float:
        """With each pixel of a view."""
        return self.workload.group_out_channels * KEPT_WEIGHTS

    @property
    def group_pixels(self) -> int:
        """Output pixels to sum before the next output channel."""
        whole = self.workload.group_in_channels * self.channel_size * np.float32().nbytes
        return self.rows * self.columns if whole <= PLANE_BYTES else GROUP_FOOTPRINT // len(self.starts)

    def channel_footprint(self, pixels: int) -> int:
        """Floats of one channel that a run of so many output pixels reads, over all kernel positions."""
        reach = max(displacement for _, displacement in self.positions)
        return len(self.starts) * min(self.view_size, pixels + reach)

    @property
    def position_offsets(self) -> list[int]:
        """Of each kernel position, from the start of its channel."""
        return [view * self.view_size + displacement for view, displacement in self.positions]

    @cached_property
    def offsets(self) -> np.ndarray:
        """int32 (groups, I * H * W): where the run of each column of a group's weight matrix starts."""
        channels = np.arange(self.workload.in_channels, dtype=np.int32) * self.channel_size
        offsets: np.ndarray = channels[:, None] + np.array(self.position_offsets, np.int32)
        return offsets.reshape(self.workload.groups, -1)


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
    padded = ALIGNMENT if width <= ALIGNMENT else -(-width // WIDEST_VECTOR) * WIDEST_VECTOR
    unaligned = sum(row * width % ALIGNMENT != 0 for row in rows) / len(rows)
    return padded if padded < width * (1 + UNALIGNED_COST * unaligned) else width


def _places(workload: ConvWorkload, axis: int) -> tuple[int, ...]:
    """Where in the bordered plane each kernel row or column reads for output row or column 0."""
    return tuple(index * workload.dilation[axis] for index in range(workload.kernel[axis]))


def _views(workload: ConvWorkload, row_starts: tuple[int, ...], rows: tuple[int, ...], columns: int) -> Views:
    """The views that start at `row_starts` of the bordered plane, of which output row 0 reads rows `rows`."""
    positions = [
        ((start, column), row * columns)
        for start, row in zip(row_starts, rows, strict=True)
        for column in _places(workload, 1)
    ]
    starts = tuple(dict.fromkeys(start for start, _ in positions))
    return Views(
        workload=workload,
        starts=starts,
        rows=workload.out_height + max(rows),
        columns=columns,
        positions=tuple((starts.index(start), displacement) for start, displacement in positions),
    )


def fill(views: Views, data: Any, viewed: Any) -> None:
    """Emit the copy of the input into `viewed`, channels in parallel where it pays; both buffers are flat."""
    workload = views.workload
    planes = data if workload.input_block == 1 else _in_planes(workload, data)
    with tasks(workload.batch * workload.in_channels, views.size / ALIGNMENT) as channel:
        source = channel * (workload.height * workload.width)
        for view, start in enumerate(views.starts):
            target = channel * views.channel_size + view * views.view_size
            _fill_view(views, start, planes, source, viewed, target)


def _in_planes(workload: ConvWorkload, data: Any) -> Any:
    """Emit the copy of an input in NCHWc to NCHW, a block of channels per task."""
    plane, block = workload.height * workload.width, workload.input_block
    blocks = workload.batch * workload.in_channels // block
    planes = T.buffer_proxy(T.alloc_buffer((blocks * block * plane,), "float32", layout=None))
    with tasks(blocks, blocks * plane) as task, T.serial(plane) as pixel, T.vectorized(block) as lane:
        planes[(task * block + lane) * plane + pixel] = data[(task * plane + pixel) * block + lane]
    return planes


def _fill_view(
    views: Views, start: tuple[int, int], planes: Any, source: Any, viewed: Any, target: Any
) -> None:
    """Emit the copy of the plane at `source` to the view at `target`, zero outside of the plane."""
    workload = views.workload
    top, left, _, _ = workload.padding
    first_row, last_row = _inside(views.rows, start[0] - top, workload.stride[0], workload.height)
    first, last = _inside(views.columns, start[1] - left, workload.stride[1], workload.width)
    rows, columns = last_row - first_row, last - first
    if rows * columns < views.rows * views.columns:
        lanes = views.alignment
        with T.serial(views.view_size // lanes) as vector, T.vectorized(lanes) as lane:
            viewed[target + vector * lanes + lane] = T.float32(0)
    if rows == 0 or columns == 0:
        return
    y = first_row * workload.stride[0] + start[0] - top
    x = first * workload.stride[1] + start[1] - left
    source, target = source + y * workload.width + x, target + first_row * views.columns + first
    if workload.stride == (1, 1) and columns == views.columns == workload.width:
        _copy(rows * columns, planes, source, 1, viewed, target)
        return
    with T.serial(rows) as row:
        from_row = source + row * (workload.stride[0] * workload.width)
        _copy(columns, planes, from_row, workload.stride[1], viewed, target + row * views.columns)


def _copy(count: int, planes: Any, source: Any, stride: int, viewed: Any, target: Any) -> None:
    """Emit the copy of `count` pixels, `stride` apart: vectors, of which the last two may overlap."""
    lanes = min(WIDEST_VECTOR, 1 << (count.bit_length() - 1))

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
