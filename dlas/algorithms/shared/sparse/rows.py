"""The sparse kernel: output channels times runs of pixels, summed over the weights that are stored.

The sums of a run of pixels and of some output channels stay in registers. Each weight that is stored costs
one multiply-add of a broadcast value with a run of the input, so that the work is that of the weights that
are left, whatever their pattern: the arrays of the weights are arguments, and their number is symbolic, so
layers of one shape share a kernel.

A task sums a band of output rows, for all output channels or a share of them. It copies what it reads itself,
so many input channels at a time as fit the cache: no core waits for what another one has copied.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.activation import activated
from dlas.algorithms.layout import physical_shape
from dlas.algorithms.shared.sparse.tiling import SparseTiling
from dlas.algorithms.shared.sparse.views import Views, fill, in_planes
from dlas.algorithms.shared.sparse.weights import Term, Weights, declare
from dlas.algorithms.shared.tir_arrays import tasks, vectors
from dlas.interfaces.targets.code_target import MAX_LANES

Sums = list[list[Any]]
"""Vectors in registers: of each row, one after the other."""


def kernel(views: Views, tiles: SparseTiling) -> tvm.tirx.PrimFunc:
    """(data, *weights, bias?, residual?, output), with the arrays of the weights' format."""
    workload = views.workload
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_attr({"tirx.noalias": True})
            output_shape = physical_shape(workload.output_shape, workload.output_block)
            data = _argument("data", physical_shape(workload.input_shape, workload.input_block))
            weights = declare(views, tiles.vectors)
            bias = _argument("bias", (workload.out_channels,)) if workload.bias else None
            residual = _argument("residual", output_shape) if workload.residual else None
            output = _argument("output", output_shape)
            store = _Output(views, tiles, bias, _flat(residual) if workload.residual else None, _flat(output))
            planes = _flat(data) if workload.input_block == 1 else in_planes(workload, _flat(data))
            _Product(views, tiles, weights, planes, store).emit()
        return builder.get()


@dataclass(frozen=True)
class _Output:
    """Emits the epilogue of sums: bias, residual, activation, and the store to memory."""

    views: Views
    tiles: SparseTiling
    bias: Any
    residual: Any
    output: Any

    def store(self, row: list[Any], n: Any, o: Any, top: Any, run: Any) -> None:
        """A row's sums of a run of the band at output row `top`, as output channel `o`."""
        width = self.views.workload.out_width
        first = T.bind(self.tiles.run_start(run))
        for start, vector in zip(self.tiles.vector_starts, row, strict=True):
            if self.views.columns == width:
                self._store_lanes(vector, 0, self.tiles.lanes, n, o, top * width + first + start)
            else:
                self._store_rows(vector, n, o, top, T.bind(first + start))

    def _store_rows(self, vector: Any, n: Any, o: Any, top: Any, first: Any) -> None:
        """Store the pixels of a vector that the output has; the vector starts at the band's pixel `first`."""
        columns, width, lanes = self.views.columns, self.views.workload.out_width, self.tiles.lanes
        row = T.bind(top + first // columns)
        for column in range(0, width, lanes):
            with _only_if(first % columns == column, needed=columns > lanes):
                for index in range(max(1, lanes // columns)):
                    at = (row + index) * width + column
                    self._store_lanes(vector, index * columns, min(lanes, width - column), n, o, at)

    def _store_lanes(self, vector: Any, lane: int, count: int, n: Any, o: Any, pixel: Any) -> None:
        """`count` lanes from `lane` on, in vectors of which the last may overlap with its neighbor."""
        pieces, lanes = vectors(count, self.tiles.lanes)
        for piece in range(pieces):
            start = min(piece * lanes, count - lanes)
            with T.vectorized(lanes) as v:
                self._store_value(n, o, pixel + start + v, vector[lane + start + v])

    def _store_value(self, n: Any, o: Any, pixel: Any, total: Any) -> None:
        workload = self.views.workload
        block = workload.output_block
        plane = n * (workload.out_channels // block) + o // block
        at = (plane * workload.out_height * workload.out_width + pixel) * block + o % block
        if self.bias is not None:
            total = total + self.bias[o]
        if self.residual is not None:
            total = total + self.residual[at]
        self.output[at] = activated(workload, total)


@dataclass(frozen=True)
class _Product:
    """Emits the sums: bands by shares of the output channels, in parallel."""

    views: Views
    tiles: SparseTiling
    weights: Weights
    planes: Any
    output: _Output

    def emit(self) -> None:
        views, tiles, shares, blocks = self.views, self.tiles, self.tiles.shares, self.weights.blocks
        share_blocks = math.ceil(blocks / shares)
        block_size = self.weights.rows * tiles.run
        count = views.workload.batch * views.bands * shares
        with tasks(count, views.cost * MAX_LANES / tiles.lanes) as task:
            n, share, band = task // (shares * views.bands), task // views.bands % shares, task % views.bands
            top = T.bind(views.band_start(band))
            viewed = _buffer(self.weights.most_inputs * views.channel_size)
            kept = _buffer(share_blocks * tiles.runs * block_size)
            with T.serial(self.weights.segments) as segment:
                self._fill(viewed, n, top, segment)
                with T.serial(share_blocks) as index, T.serial(tiles.runs) as run:
                    block = T.bind(self.weights.member(share, index, shares))
                    with _only_if(block < blocks, needed=blocks % shares != 0):
                        place = (index * tiles.runs + run) * block_size
                        sums = self._zeros()
                        with T.If(segment > 0), T.Then():
                            self._set_each(sums, lambda at: kept[place + at])
                        start = self.weights.first_input(block) * views.channel_size + tiles.run_start(run)
                        start = start if views.workload.groups == 1 else T.bind(start)
                        self._add_steps(sums, segment, block, viewed, start)
                        with T.If(segment < self.weights.segments - 1):
                            with T.Then():
                                self._keep(sums, kept, place)
                            with T.Else():
                                self._store(sums, n, block, top, run)

    def _fill(self, viewed: Any, n: Any, top: Any, segment: Any) -> None:
        workload = self.views.workload
        plane = workload.height * workload.width
        with self.weights.each_input(segment) as (place, channel):
            source = T.bind((n * workload.in_channels + channel) * plane)
            fill(self.views, self.planes, source, top, viewed, place * self.views.channel_size)

    def _zeros(self) -> Sums:
        sums = [
            [_buffer(self.tiles.lanes) for _ in range(self.tiles.vectors)] for _ in range(self.weights.rows)
        ]
        self._set_each(sums, lambda _: T.float32(0))
        return sums

    def _set_each(self, sums: Sums, value: Callable[[Any], Any]) -> None:
        for index, vector in enumerate(itertools.chain.from_iterable(sums)):
            with T.vectorized(self.tiles.lanes) as v:
                vector[v] = value(index * self.tiles.lanes + v)

    def _keep(self, sums: Sums, kept: Any, start: Any) -> None:
        for index, vector in enumerate(itertools.chain.from_iterable(sums)):
            with T.vectorized(self.tiles.lanes) as v:
                kept[start + index * self.tiles.lanes + v] = vector[v]

    def _add_steps(self, sums: Sums, segment: Any, block: Any, viewed: Any, start: Any) -> None:
        count, terms = self.weights.steps(segment, block)
        parts = [sums, *[self._zeros() for _ in range(self.tiles.parts - 1)]]
        turn = parts * self.tiles.unroll
        with T.serial(count // len(turn)) as step:
            for index, part in enumerate(turn):
                self._add(part, terms(step * len(turn) + index, start), viewed)
        if len(turn) > 1:
            with T.serial(count % len(turn)) as step:
                self._add(sums, terms(count // len(turn) * len(turn) + step, start), viewed)
        for part in parts[1:]:
            for row, other in zip(sums, part, strict=True):
                for vector, addend in zip(row, other, strict=True):
                    with T.vectorized(self.tiles.lanes) as v:
                        vector[v] = vector[v] + addend[v]

    def _add(self, sums: Sums, terms: Iterable[Term], viewed: Any) -> None:
        for first, values in terms:
            for row, value in zip(sums, values, strict=True):
                for place, vector in zip(self.tiles.vector_starts, row, strict=True):
                    with T.vectorized(self.tiles.lanes) as v:
                        vector[v] = vector[v] + value * viewed[first + place + v]

    def _store(self, sums: Sums, n: Any, block: Any, top: Any, run: Any) -> None:
        channels = self.views.workload.out_channels
        for index, row in enumerate(sums):
            place = block * self.weights.rows + index
            with _only_if(place < channels, needed=channels % self.weights.rows != 0):
                self.output.store(row, n, T.bind(self.weights.channel(block, index)), top, run)


def _argument(name: str, shape: tuple[int, ...]) -> Any:
    return T.buffer_proxy(T.arg(name, T.buffer(shape, "float32", layout=None)))


def _flat(buffer: Any) -> Any:
    size = math.prod(int(extent) for extent in buffer.shape)
    return T.buffer_proxy(T.decl_buffer((size,), "float32", data=buffer.data, layout=None))


def _buffer(size: int) -> Any:
    """Allocate a buffer in TVM's workspace; below 1024 bytes on the stack, from where LLVM takes vectors into
    registers."""
    return T.buffer_proxy(T.alloc_buffer((size,), "float32", layout=None))


@contextmanager
def _only_if(condition: Any, needed: bool) -> Iterator[None]:
    if not needed:
        yield
        return
    with T.If(condition), T.Then():
        yield
