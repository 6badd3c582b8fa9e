"""What a sparse kernel reads of each format's arrays: which runs of the input its sums are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.sparse.formats import CSR_BLOCK, KEPT_ROWS, block_of
from dlas.algorithms.sparse.views import Views

Term = tuple[Any, Sequence[Any]]
"""Where a run of the input starts, and the weight that each row multiplies it with."""


class Weights(Protocol):
    """The arrays of one format as the kernel's arguments."""

    @property
    def rows(self) -> int:
        """Output channels that are summed together, as they share the runs that they read."""

    @property
    def blocks(self) -> int:
        """How many times `rows` output channels there are."""

    @property
    def segments(self) -> Any:
        """Passes over the output channels; each adds its share of the terms."""

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any], Sequence[Term]]]:
        """How many steps the sums of a block take in a segment, and the terms of each step."""

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

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any], Sequence[Term]]]:
        pointer = segment * self.blocks + block
        first = T.bind(self.pointers[pointer])
        return T.bind(self.pointers[pointer + 1] - first), lambda step: self._terms(first + step)

    def _terms(self, stored: Any) -> Sequence[Term]:
        block = block_of(self.views.workload)
        if block == CSR_BLOCK:
            return [(self.offsets[stored], [self.values[stored]])]
        return [
            (self.offsets[stored, column], [self.values[stored, column, row] for row in range(self.rows)])
            for column in range(block[1])
        ]

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
    segments: Any = 1
    rows: int = KEPT_ROWS

    @property
    def blocks(self) -> int:
        return math.ceil(self.views.workload.out_channels / self.rows)

    def steps(self, segment: Any, block: Any) -> tuple[Any, Callable[[Any], Sequence[Term]]]:
        count = T.bind(T.Select(block < self.kept_blocks, self.kept_inputs, 0))
        return count, lambda step: self._terms(block, step)

    def _terms(self, block: Any, kept: Any) -> Sequence[Term]:
        start = self.inputs[kept] * self.views.channel_size
        return [
            (start + offset, [self.values[block, kept, position, row] for row in range(self.rows)])
            for position, offset in enumerate(self.views.position_offsets)
        ]

    def channel(self, block: Any, row: int) -> Any:
        return self.outputs[block * self.rows + row]


def declare_block_sparse_rows(views: Views) -> BlockSparseRows:
    """The kernel's arguments for CSR and BSR."""
    rows, columns = block = block_of(views.workload)
    stored, pointers = T.int32(), T.int32()
    values, offsets, bounds = _arguments(
        values=((stored,) if block == CSR_BLOCK else (stored, columns, rows), "float32"),
        offsets=((stored,) if block == CSR_BLOCK else (stored, columns), "int32"),
        pointers=((pointers,), "int32"),
    )
    segments = T.truncdiv(pointers - 1, views.workload.out_channels // rows)
    return BlockSparseRows(views, rows, values, offsets, bounds, segments)


def declare_kept_channels(views: Views) -> KeptChannels:
    """The kernel's arguments for channel_index."""
    workload = views.workload
    kept_blocks, kept_inputs = T.int32(), T.int32()
    values, inputs, outputs = _arguments(
        values=((kept_blocks, kept_inputs, math.prod(workload.kernel), KEPT_ROWS), "float32"),
        inputs=((kept_inputs,), "int32"),
        outputs=((workload.out_channels,), "int32"),
    )
    return KeptChannels(views, values, inputs, outputs, kept_inputs, kept_blocks)


def _arguments(**arguments: tuple[tuple[Any, ...], str]) -> list[Any]:
    handles = {name: T.arg(name, T.handle()) for name in arguments}
    return [
        T.buffer_proxy(T.match_buffer(handles[name], shape, dtype, layout=None))
        for name, (shape, dtype) in arguments.items()
    ]
