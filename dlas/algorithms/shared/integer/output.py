"""Epilogue of a tile of finished integer sums: requantized, and written where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

from tvm import te
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.activation import activated
from dlas.algorithms.shared.integer.requantization import FRACTION_BITS
from dlas.interfaces.workload import ConvWorkload


@dataclass(frozen=True)
class Place:
    """Position of a tile in the output."""

    n: Any
    group: Any
    channel: Any
    """First channel, counted in its group."""
    y: Any
    x: Any
    """Column of the first pixel, `y` being its row."""
    rows: int
    columns: int
    vectors: int
    lanes: int
    """Channels of a vector."""

    @property
    def pixels(self) -> list[tuple[int, int]]:
        """(row, column) in the tile."""
        return [(row, column) for row in range(self.rows) for column in range(self.columns)]

    @property
    def held(self) -> int:
        """Channels of the tile."""
        return self.vectors * self.lanes


@dataclass(frozen=True)
class Output:
    """A kernel's output and the arguments of its epilogue, all flat."""

    workload: ConvWorkload
    bias: Any
    multiplier: Any
    residual: Any
    """Values that the epilogue adds; None where it adds nothing."""
    residual_multiplier: Any
    buffer: Any
    columns: int
    """Columns of the plane that tiles are cut from: the output's, or all its pixels in one row."""

    def store(self, place: Place, sums: list[list[Any]]) -> None:
        """Write the tile of `sums`: an array for each vector of each pixel."""
        if self.workload.output_block > 1:
            self._store_blocks(place, sums)
        else:
            self._store_planes(place, sums)

    def value(self, total: Any, o: Any, residual: Any) -> Any:
        """The output for the sum `total` of channel `o`; Jacob et al. as in `requantization`."""
        first = (total + self.bias[o]).astype("float32") * self.multiplier[o]
        terms = [first]
        if residual is not None:
            centered = residual.astype("int32") - self.workload.residual_zero
            terms.append(centered.astype("float32") * self.residual_multiplier[0])
        if self.workload.output_zero is None:
            return activated(self.workload, sum(terms[1:], terms[0]))
        whole = [_rounded(term) for term in terms]
        fixed = sum(whole[1:], whole[0])
        fixed = te.max(fixed, 0) if self.workload.activation else fixed
        half_and_zero = (1 << (FRACTION_BITS - 1)) + (self.workload.output_zero << FRACTION_BITS)
        rounded = te.min((fixed + half_and_zero) >> FRACTION_BITS, self.workload.output_limit)
        return (rounded if self.workload.activation else te.max(rounded, 0)).astype("uint8")

    def _store_blocks(self, place: Place, sums: list[list[Any]]) -> None:
        block = self.workload.output_block

        def write(at: int, o: Any, run: int) -> None:
            for vectors, (row, column) in zip(sums, place.pixels, strict=True):
                total = vectors[at // place.lanes]
                index = self._plane(place.n, o // block * block)
                index = T.bind(index + self._pixel(place, row, column) * block + o % block)
                with T.vectorized(run) as lane:
                    residual = None if self.residual is None else self.residual[index + lane]
                    value = self.value(total[at % place.lanes + lane], o + lane, residual)
                    T.buffer_store(self.buffer, value, [index + lane])

        self._each_run(place, block, write)

    def _store_planes(self, place: Place, sums: list[list[Any]]) -> None:
        """Write a tile to planes of channels. Arrays of a pixel's channels come between: these are computed
        together, and each channel is stored by itself."""
        values = [T.alloc_buffer((place.held,), self.workload.output_dtype) for _ in place.pixels]
        addends = None
        if self.residual is not None:
            addends = [T.alloc_buffer((place.held,), "uint8") for _ in place.pixels]
            for pixel, lane, index in self._each_element(place):
                T.buffer_store(addends[pixel], self.residual[index], [lane])

        def compute(at: int, o: Any, run: int) -> None:
            for pixel, vectors in enumerate(sums):
                total = vectors[at // place.lanes]
                with T.vectorized(run) as lane:
                    addend = None if addends is None else addends[pixel][at + lane]
                    value = self.value(total[at % place.lanes + lane], o + lane, addend)
                    T.buffer_store(values[pixel], value, [at + lane])

        self._each_run(place, place.lanes, compute)
        for pixel, lane, index in self._each_element(place):
            T.buffer_store(self.buffer, values[pixel][lane], [index])

    def _each_run(self, place: Place, block: int, body: Callable[[int, Any, int], None]) -> None:
        """`body(first held, first channel, channels)` for runs of channels that share one block of memory."""
        channels = self.workload.group_out_channels
        run = gcd(block, place.lanes, channels)
        for at in range(0, place.held, run):
            o = T.bind(place.group * channels + place.channel + at)
            if channels % place.lanes:
                with T.If(place.channel + at < channels), T.Then():
                    body(at, o, run)
            else:
                body(at, o, run)

    def _each_element(self, place: Place) -> Any:
        """(pixel's number, held channel, index in the output) of every element of the tile."""
        channels = self.workload.group_out_channels
        first = place.group * channels + place.channel
        with T.serial(T.min(place.held, channels - place.channel)) as lane:
            plane = T.bind(self._plane(place.n, first + lane))
            for number, (row, column) in enumerate(place.pixels):
                yield number, lane, plane + self._pixel(place, row, column)

    def _plane(self, n: Any, o: Any) -> Any:
        pixels = self.workload.out_height * self.workload.out_width
        return (n * self.workload.out_channels + o) * pixels

    def _pixel(self, place: Place, row: int, column: int) -> Any:
        return (place.y + row) * self.columns + place.x + column


def _rounded(value: Any) -> Any:
    """Round to the nearest int32, ties to even: one instruction, where `nearbyint` and a cast are two."""
    return T.call_llvm_pure_intrin("int32", "llvm.lrint.i32.f32", value)
