"""Sparse weights as a kernel reads them from each format's arrays: which runs of the input its sums are made
of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.sparse.formats import (
    CSR_BLOCK,
    KEPT_ROWS,
    block_of,
    segment_channels,
    terms_of_step,
)
from dlas.algorithms.shared.sparse.views import Views

Term = tuple[Any, Sequence[Any]]
"""Start of a run of the input, and the weight that each row multiplies it with."""


class Weights(Protocol):
    """The arrays of one format as the kernel's arguments."""

    @property
    def rows(self) -> int:
        """Output channels that are summed together, as they share the runs that they read."""

    @property
    def blocks(self) -> int:
        """Number of blocks of `rows` output channels."""

    def member(self, share: Any, index: Any, shares: int) -> Any:
        """The block that is number `index` of its share of the work."""

    @property
    def segments(self) -> Any:
        """Passes over the output channels; each adds the terms of its share of the input channels."""

    @property
    def most_inputs(self) -> int:
        """Input channels of a segment, at most."""

    def each_input(self, segment: Any) -> AbstractContextManager[tuple[Any, Any]]:
        """A loop over the input channels that a segment reads: (place among them, channel)."""

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any, Any], Iterator[Term]]]:
        """Number of steps that the sums of a block take in a segment, and a function (step, where the run of
        the block's first input starts) -> terms of that step. The start of a run is bound as its term is
        taken."""

    def first_input(self, block: Any) -> Any:
        """Input, of those that a segment reads, from which the runs of a block's terms are counted."""

    def channel(self, block: Any, row: int) -> Any:
        """The output channel of a row of a block."""


@dataclass(frozen=True)
class BlockSparseRows:
    """The arrays of `pack_block_sparse_rows`, or those of `pack_compressed_sparse_rows`."""

    views: Views
    rows: int
    values: Any
    offsets: Any
    pointers: Any
    segments: Any

    @property
    def blocks(self) -> int:
        return self.views.workload.out_channels // self.rows

    def member(self, share: Any, index: Any, shares: int) -> Any:
        """Give a share neighbouring blocks, which share cache lines of what is stored and of the output."""
        return share * math.ceil(self.blocks / shares) + index

    @property
    def most_inputs(self) -> int:
        most: int = segment_channels(self.views.workload, 1)
        return self.views.workload.groups * most

    @contextmanager
    def each_input(self, segment: Any) -> Iterator[tuple[Any, Any]]:
        groups, most = self.views.workload.groups, self.views.workload.group_in_channels
        channels = T.bind(segment_channels(self.views.workload, self.segments))
        first = segment * channels
        if groups == 1:
            with T.serial(T.bind(T.min(channels, most - first))) as place:
                yield place, first + place
            return
        with T.serial(groups) as group, T.serial(channels) as index:
            yield group * channels + index, group * most + T.min(first + index, most - 1)

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any, Any], Iterator[Term]]]:
        pointer = segment * self.blocks + block
        first = T.bind(self.pointers[pointer])
        count = T.bind(self.pointers[pointer + 1] - first)
        return count, lambda step, start: self._terms(first + step, start)

    def first_input(self, block: Any) -> Any:
        workload = self.views.workload
        if workload.groups == 1:
            return 0
        group = block * self.rows // workload.group_out_channels
        return group * segment_channels(workload, self.segments)

    def _terms(self, stored: Any, start: Any) -> Iterator[Term]:
        block = block_of(self.views.workload)
        if block == CSR_BLOCK:
            yield T.bind(T.int32(self.offsets[stored]) + start), [self.values[stored]]
            return
        for column in range(block[1]):
            first = T.bind(T.int32(self.offsets[stored, column]) + start)
            yield first, [self.values[stored, column, row] for row in range(self.rows)]

    def channel(self, block: Any, row: int) -> Any:
        return block * self.rows + row


@dataclass(frozen=True)
class KeptChannels:
    """The arrays of `pack_kept_channels`."""

    views: Views
    values: Any
    inputs: Any
    outputs: Any
    kept_inputs: Any
    kept_blocks: Any
    segments: Any
    columns: int
    """Columns of the kernel that are steps of their own: one where a step takes the whole kernel."""
    rows: int = KEPT_ROWS

    @property
    def blocks(self) -> int:
        return math.ceil(self.views.workload.out_channels / self.rows)

    def member(self, share: Any, index: Any, shares: int) -> Any:
        """Deal the blocks out to the shares in turn, since the last ones have no weights."""
        return index * shares + share

    @property
    def most_inputs(self) -> int:
        return _most_kept_inputs(self.views)

    @contextmanager
    def each_input(self, segment: Any) -> Iterator[tuple[Any, Any]]:
        first, count = self._inputs_of(segment)
        with T.serial(count) as place:
            yield place, self.inputs[first + place]

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any, Any], Iterator[Term]]]:
        first, count = self._inputs_of(segment)
        kept = T.bind(T.Select(block < self.kept_blocks, count * self.columns, 0))
        return kept, lambda step, start: self._terms(block, first, step, start)

    def first_input(self, block: Any) -> Any:
        return 0

    def _inputs_of(self, segment: Any) -> tuple[Any, Any]:
        """The first of the kept inputs that a segment reads, and how many it reads."""
        first = segment * self.most_inputs
        return first, T.min(self.most_inputs, self.kept_inputs - first)

    def _terms(self, block: Any, first: Any, step: Any, start: Any) -> Iterator[Term]:
        columns = self.columns
        place, column = step // columns, step % columns
        run = T.bind(start + place * self.views.channel_size + column * self.views.view_size)
        for index, offset in enumerate(self.views.position_offsets[::columns]):
            position = index * columns + column
            yield run + offset, [self.values[block, first + place, position, row] for row in range(self.rows)]

    def channel(self, block: Any, row: int) -> Any:
        return self.outputs[block * self.rows + row]


def declare(views: Views, vectors: int) -> Weights:
    """The kernel's arguments for the workload's format, where a row's sums are so many vectors."""
    channels = views.workload.format == "channel_index"
    return _kept_channels(views, vectors) if channels else _block_sparse_rows(views)


def _block_sparse_rows(views: Views) -> BlockSparseRows:
    rows, columns = block = block_of(views.workload)
    stored, pointers = T.int32(), T.int32()
    values, offsets, bounds = _arguments(
        values=((stored,) if block == CSR_BLOCK else (stored, columns, rows), "float32"),
        offsets=((stored,) if block == CSR_BLOCK else (stored, columns), "uint16"),
        pointers=((pointers,), "int32"),
    )
    segments = T.truncdiv(pointers - 1, views.workload.out_channels // rows)
    return BlockSparseRows(views, rows, values, offsets, bounds, segments)


def _kept_channels(views: Views, vectors: int) -> KeptChannels:
    workload = views.workload
    kept_blocks, kept_inputs = T.int32(), T.int32()
    values, inputs, outputs = _arguments(
        values=((kept_blocks, kept_inputs, math.prod(workload.kernel), KEPT_ROWS), "float32"),
        inputs=((kept_inputs,), "int32"),
        outputs=((workload.out_channels,), "int32"),
    )
    segments = T.bind(T.max(1, T.ceildiv(kept_inputs, _most_kept_inputs(views))))
    columns = math.prod(workload.kernel) // terms_of_step(workload, KEPT_ROWS * vectors)
    return KeptChannels(views, values, inputs, outputs, kept_inputs, kept_blocks, segments, columns)


def _most_kept_inputs(views: Views) -> int:
    """Largest number of kept inputs of a segment."""
    return views.channels_in_cache * KEPT_ROWS


def _arguments(**arguments: tuple[tuple[Any, ...], str]) -> list[Any]:
    handles = {name: T.arg(name, T.handle()) for name in arguments}
    return [
        T.buffer_proxy(T.match_buffer(handles[name], shape, dtype, layout=None))
        for name, (shape, dtype) in arguments.items()
    ]
