"""The input of an integer convolution as words of four channels, with its border, ready for dot products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.integer.dot_products import BYTES, DotProduct, broadcast, four_bytes
from dlas.algorithms.shared.integer.packing import group_words
from dlas.algorithms.shared.tir_arrays import each_vector, flat, load, store, tasks
from dlas.interfaces.workload import ConvWorkload


@dataclass(frozen=True)
class Words:
    """Words of four channels in memory: (batch, outer, rows, columns, inner), flat."""

    buffer: Any
    outer: int
    """Blocks of `inner` words."""
    rows: int
    columns: int
    inner: int
    """Words of one pixel that are neighbours in memory."""

    @property
    def size(self) -> int:
        """Number of words of one image."""
        return self.outer * self.rows * self.columns * self.inner

    def row(self, n: Any, outer: Any, y: Any) -> Any:
        """The index of the first word of a row."""
        return ((n * self.outer + outer) * self.rows + y) * self.columns * self.inner

    def index(self, n: Any, word: Any, y: Any, x: Any) -> Any:
        """Index of word `word` of pixel (y, x) of image `n`."""
        return self.row(n, word // self.inner, 0) + self.pixel(y, x) + word % self.inner

    def pixel(self, y: Any, x: Any) -> Any:
        """Distance, in words, of pixel (y, x) of a plane from its first pixel."""
        return (y * self.columns + x) * self.inner


def words_of(workload: ConvWorkload, dot: DotProduct, data: Any) -> Words:
    """The words of `data`; written to memory first unless they lie there already as they must be."""
    block = workload.input_block
    top, left, bottom, right = workload.padding
    batch, channels, height, width = workload.input_shape
    inner = block // BYTES if block > 1 else 1
    outer = workload.groups * group_words(workload) // inner
    rows, columns = height + top + bottom, width + left + right
    as_it_lies = block > 1 and dot.word == "int32" and not dot.signed
    if as_it_lies and not any(workload.padding):
        buffer = flat(data, "int32", batch * channels * height * width // BYTES)
        return Words(buffer, outer, rows, columns, inner)
    buffer = T.alloc_buffer((batch * outer * rows * columns * inner,), dot.word)
    words = Words(buffer, outer, rows, columns, inner)
    _write(workload, dot, data, words)
    return words


def _write(workload: ConvWorkload, dot: DotProduct, data: Any, words: Words) -> None:
    """Write the words row by row, in parallel."""
    top, left, _, right = workload.padding
    read = _blocked(workload, data, words) if workload.input_block > 1 else _interleaved(workload, data)
    with tasks(workload.batch * words.outer * words.rows, workload.batch * words.size) as row:
        n, outer, y = row // words.rows // words.outer, row // words.rows % words.outer, row % words.rows
        begin = T.bind(words.row(n, outer, y))

        def fill(first: int, pixels: int) -> None:
            if pixels:
                with each_vector(pixels * words.inner, dot.sum_lanes) as (start, lanes):
                    zero = dot.stored(broadcast(T.int32(_zero_word(workload)), lanes), lanes)
                    store(words.buffer, begin + first * words.inner + start, zero, lanes)

        def copy() -> None:
            fill(0, left)
            with each_vector(workload.width * words.inner, dot.sum_lanes) as (start, lanes):
                value = dot.stored(read(n, outer, y - top, start, lanes), lanes)
                store(words.buffer, begin + left * words.inner + start, value, lanes)
            fill(left + workload.width, right)

        if words.rows == workload.height:
            copy()
        else:
            with T.If(T.And(y >= top, y < top + workload.height)):
                with T.Then():
                    copy()
                with T.Else():
                    fill(0, words.columns)


def _zero_word(workload: ConvWorkload) -> int:
    return int.from_bytes(bytes([workload.input_zero] * BYTES), "little", signed=True)


def _blocked(workload: ConvWorkload, data: Any, words: Words) -> Callable[[Any, Any, Any, Any, int], Any]:
    batch, channels, height, width = workload.input_shape
    source = flat(data, "int32", batch * channels * height * width // BYTES)

    def read(n: Any, outer: Any, y: Any, start: Any, lanes: int) -> Any:
        return load(source, ((n * words.outer + outer) * height + y) * width * words.inner + start, lanes)

    return read


def _interleaved(workload: ConvWorkload, data: Any) -> Callable[[Any, Any, Any, Any, int], Any]:
    """Words put together from planes of one channel; a group's last word may lack some."""
    batch, channels, height, width = workload.input_shape
    source = flat(data, "uint8", batch * channels * height * width)
    per_group, count = workload.group_in_channels, group_words(workload)

    def read(n: Any, outer: Any, y: Any, start: Any, lanes: int) -> Any:
        first = outer // count * per_group + outer % count * BYTES
        last = outer // count * per_group + per_group - 1
        inputs = []
        for byte in range(min(BYTES, per_group)):
            # A channel beyond the group's last is multiplied by a weight of zero: any value will do.
            channel = first + byte if per_group % BYTES == 0 else T.min(first + byte, last)
            inputs.append(load(source, ((n * channels + channel) * height + y) * width + start, lanes))
        return four_bytes(inputs, lanes)

    return read
