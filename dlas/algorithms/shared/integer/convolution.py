"""Integer convolution in register tiles: some output pixels by some registers of output channels.

For each word of four input channels and each kernel element, a step, the words of the tile's pixels are
broadcast, and their products with the weights of every register added up by dot products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.integer.dot_products import BYTES, DotProduct, broadcast
from dlas.algorithms.shared.integer.kernel import Arguments
from dlas.algorithms.shared.integer.output import Place
from dlas.algorithms.shared.integer.packing import BLOCK, group_blocks, group_words, steps
from dlas.algorithms.shared.integer.tile import IntegerTile
from dlas.algorithms.shared.integer.words import Words
from dlas.algorithms.shared.tir_arrays import load, store, tasks
from dlas.interfaces.workload import ConvWorkload

END = -1
"""Mark behind the last offset."""


@dataclass(frozen=True)
class Plane:
    """Plane that tiles are cut from: the output's pixels, and the words of data behind them."""

    rows: int
    columns: int
    stride: tuple[int, int]
    """Pixels of words from one output pixel to the next."""
    words: Words
    offset: Callable[[Any, Any, Any], Any]
    """(word, r, s) -> index of that word for kernel element (r, s), counted from the words' first pixel."""


@dataclass(frozen=True)
class Convolution:
    """A convolution that is being written as a kernel."""

    workload: ConvWorkload
    plane: Plane
    dot: DotProduct
    arguments: Arguments

    def write(self, tile: IntegerTile) -> None:
        """Write the kernel: bands of tiles in parallel."""
        workload, plane, dot = self.workload, self.plane, self.dot
        vectors = -(-workload.group_out_channels // dot.lanes)
        channel_tiles, row_tiles = -(-vectors // tile.vectors), -(-plane.rows // tile.rows)
        tiles = channel_tiles * row_tiles
        offsets = self._offsets()
        instructions = workload.macs * dot.cost / (dot.lanes * BYTES)
        with tasks(workload.batch * workload.groups * tiles, instructions) as band:
            n, group = band // tiles // workload.groups, band // tiles % workload.groups
            channel_tile = band % tiles // row_tiles if tile.weights_stay else band % channel_tiles
            row_tile = band % row_tiles if tile.weights_stay else band % tiles // channel_tiles
            channel = T.bind(_first(channel_tile, tile.vectors, vectors) * dot.lanes)
            y = T.bind(_first(row_tile, tile.rows, plane.rows))
            with T.serial(-(-plane.columns // tile.columns)) as column_tile:
                x = T.bind(_first(column_tile, tile.columns, plane.columns))
                place = Place(n, group, channel, y, x, tile.rows, tile.columns, tile.vectors, dot.lanes)
                registers = self._begun(place)
                self._add(place, offsets, registers)
                self.arguments.output.store(*self._finished(place, registers))

    def _offsets(self) -> Any:
        """Index of the word of each step, counted from a tile's first pixel: (groups, steps + 1), flat.

        The kernel reads them from memory up to `END`, which also keeps LLVM from unrolling the steps: it
        would mix them, and run out of registers.
        """
        per_group, count = group_words(self.workload), steps(self.workload)
        height, width = self.workload.kernel
        offsets = T.alloc_buffer((self.workload.groups * (count + 1),), "int32")
        with T.serial(self.workload.groups) as group:
            with T.grid(per_group, height, width) as (word, r, s):
                index = self.plane.offset(group * per_group + word, r, s)
                T.buffer_store(offsets, index, [group * (count + 1) + (word * height + r) * width + s])
            T.buffer_store(offsets, T.int32(END), [group * (count + 1) + count])
        return offsets

    def _begun(self, place: Place) -> list[list[Any]]:
        """An array of sums for each vector of each pixel, as long as a register: LLVM keeps it in one."""
        dot, starts = self.dot, []
        for vector in range(place.vectors):
            first = place.group * group_blocks(self.workload) * BLOCK + place.channel + vector * dot.lanes
            zero = broadcast(T.int32(0), dot.sum_lanes)
            starts.append(T.bind(load(self.arguments.offsets, first, dot.lanes)) if dot.signed else zero)
        registers = [[T.alloc_buffer((dot.sum_lanes,), "int32") for _ in starts] for _ in place.pixels]
        for vectors in registers:
            for register, start in zip(vectors, starts, strict=True):
                store(register, 0, start, dot.sum_lanes)
        return registers

    def _add(self, place: Place, offsets: Any, registers: list[list[Any]]) -> None:
        """Add up the products of a tile, a step after the other, until the offsets end."""
        plane, dot, words = self.plane, self.dot, self.plane.words
        count = steps(self.workload)
        pixel = words.pixel(place.y * plane.stride[0], place.x * plane.stride[1])
        first_word = T.bind(place.n * words.size + pixel)
        first_block = place.group * group_blocks(self.workload)
        step = T.alloc_buffer((1,), "int32")
        T.buffer_store(step, T.int32(0), [0])
        with T.While(offsets[place.group * (count + 1) + step[0]] != END):
            word = T.bind(first_word + offsets[place.group * (count + 1) + step[0]])
            weights = []
            for vector in range(place.vectors):
                channel = place.channel + vector * dot.lanes
                at = ((first_block + channel // BLOCK) * count + step[0]) * BLOCK + channel % BLOCK
                weights.append(T.bind(dot.weights(load(self.arguments.weight, at, dot.lanes))))
            for vectors, (row, column) in zip(registers, place.pixels, strict=True):
                index = word + words.pixel(row * plane.stride[0], column * plane.stride[1])
                data = T.bind(broadcast(words.buffer[index], dot.lanes))
                for register, weight in zip(vectors, weights, strict=True):
                    sums = load(register, 0, dot.sum_lanes)
                    store(register, 0, dot.add(sums, data, weight), dot.sum_lanes)
            T.buffer_store(step, step[0] + 1, [0])

    def _finished(self, place: Place, registers: list[list[Any]]) -> tuple[Place, list[list[Any]]]:
        """The sums, one int32 per channel; of two registers with two for each, where their number is even."""
        dot = self.dot
        if dot.addends == 1:
            return place, registers
        joined = 2 - place.vectors % 2
        place = replace(place, vectors=place.vectors // joined, lanes=joined * dot.lanes)
        lanes = joined * dot.sum_lanes

        def finished(registers: list[Any]) -> Any:
            sums = T.alloc_buffer((place.lanes,), "int32")
            loaded = [T.bind(load(register, 0, dot.sum_lanes)) for register in registers]
            even, odd = (T.Shuffle(loaded, list(range(start, lanes, 2))) for start in (0, 1))
            store(sums, 0, even + odd, place.lanes)
            return sums

        first = range(0, place.vectors * joined, joined)
        return place, [[finished(vectors[at : at + joined]) for at in first] for vectors in registers]


def _first(index: Any, size: int, extent: int) -> Any:
    """Start of tile `index`: the last tile lies within `extent` even if it overlaps with its neighbour."""
    return T.min(index * size, extent - size) if extent % size else index * size
