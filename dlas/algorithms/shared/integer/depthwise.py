"""Integer depthwise convolution: each channel by itself, several kernel rows in one multiply-add.

The lanes of a register are neighbours in memory: the channels of a block, or the pixels of a row where
channels lie in planes. Each task takes one block or plane: it writes it with its border, puts the inputs that
lie below one another together to words, and sums words times words of weights in tiles of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.integer.dot_products import ColumnProduct, broadcast, column_product
from dlas.algorithms.shared.integer.kernel import Arguments, integer_kernel
from dlas.algorithms.shared.integer.packing import BLOCK, column_words
from dlas.algorithms.shared.tir_arrays import each_vector, flat, load, store, tasks
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

TILE = 8
"""Registers of sums in a tile of a row: enough to hide the latency of one multiply-add, and to leave others
for the weights."""

MAX_REGISTERS = 16
"""Largest number of registers of sums that a tuner tries."""


@dataclass(frozen=True)
class RowTile:
    """Sums that are computed at once: so many vectors of an output row."""

    vectors: int


@dataclass(frozen=True)
class _Plane:
    """One block or plane of channels, with its border, as bytes or words."""

    workload: ConvWorkload
    product: ColumnProduct

    @property
    def block(self) -> int:
        return self.workload.input_block

    @property
    def columns(self) -> int:
        """Columns of pixels; a row of a plane is long enough for each of its phases."""
        _, left, _, right = self.workload.padding
        return self.phases * -(-(left + self.workload.width + right) // self.phases)

    @property
    def phases(self) -> int:
        """Runs that a row of words is sorted into, so that the lanes of a vector are neighbours."""
        return 1 if self.block > 1 else self.workload.stride[1]

    @property
    def words_down(self) -> int:
        """Words that a column of the kernel takes."""
        return -(-self.workload.kernel[0] // self.product.rows)

    @property
    def word_rows(self) -> int:
        workload = self.workload
        last_word = (self.words_down - 1) * self.product.rows * workload.dilation[0]
        return (workload.out_height - 1) * workload.stride[0] + last_word + 1

    @property
    def byte_rows(self) -> int:
        return (
            self.word_rows + (min(self.product.rows, self.workload.kernel[0]) - 1) * self.workload.dilation[0]
        )

    @property
    def row_size(self) -> int:
        return self.columns * self.block

    @property
    def lanes(self) -> int:
        """Lanes of a vector of sums."""
        if self.block > 1:
            return min(self.block, self.product.lanes)
        return _power_of_two(min(self.workload.out_width, self.product.lanes))

    @property
    def row_vectors(self) -> int:
        """Vectors of sums in an output row, for the channels that one vector holds."""
        return self.workload.out_width if self.block > 1 else -(-self.workload.out_width // self.lanes)

    def word_index(self, y: Any, x: Any) -> Any:
        if self.phases == 1:
            return (y * self.columns + x) * self.block
        run = self.columns // self.phases
        return (y * self.phases + x % self.phases) * run + x // self.phases


def row_tiles(workload: ConvWorkload, target: CodeTarget) -> tuple[RowTile, ...]:
    """Tiles that a tuner may try, the cost rule's choice first: tiles of equal size, those next to `TILE`
    first."""
    vectors = _Plane(workload, column_product(target)).row_vectors
    limits = sorted(range(1, MAX_REGISTERS + 1), key=lambda limit: abs(limit - TILE))
    return tuple(dict.fromkeys(RowTile(-(-vectors // -(-vectors // limit))) for limit in limits))


def depthwise(workload: ConvWorkload, target: CodeTarget, tile: RowTile) -> Any:
    """The kernel; its weights are packed by `integer_packing`."""
    product = column_product(target)
    plane = _Plane(workload, product)
    planes = workload.in_channels // plane.block
    instructions = workload.macs / product.lanes
    with (
        integer_kernel(workload, workload.out_width) as (builder, arguments),
        tasks(workload.batch * planes, instructions) as task,
    ):
        image = T.alloc_buffer((plane.byte_rows * plane.row_size,), "uint8")
        words = T.alloc_buffer((plane.word_rows * plane.row_size,), product.dtype)
        _write_border(plane, arguments, task, image)
        _write_words(plane, image, words)
        _write_output(plane, arguments, task, words, tile.vectors)
    return builder.get()


def _write_border(plane: _Plane, arguments: Arguments, task: Any, image: Any) -> None:
    """Write the input inside its border; rows below both are multiplied by weights of zero."""
    workload, block = plane.workload, plane.block
    top, left, _, _ = workload.padding
    batch, channels, height, width = workload.input_shape
    data = flat(arguments.data, "uint8", batch * channels * height * width)
    chunk = plane.product.lanes * 4

    def fill(y: Any, first: int, pixels: int) -> None:
        if pixels > 0:
            with each_vector(pixels * block, chunk) as (start, lanes):
                zero = broadcast(T.uint8(workload.input_zero), lanes)
                store(image, y * plane.row_size + first * block + start, zero, lanes)

    with T.serial(plane.byte_rows) as y, T.If(T.And(y >= top, y < top + height)):
        with T.Then():
            fill(y, 0, left)
            with each_vector(width * block, chunk) as (start, lanes):
                row = (task * height + y - top) * width * block
                at = y * plane.row_size + left * block + start
                store(image, at, load(data, row + start, lanes), lanes)
            fill(y, left + width, plane.columns - left - width)
        with T.Else():
            fill(y, 0, plane.columns)


def _write_words(plane: _Plane, image: Any, words: Any) -> None:
    workload, product = plane.workload, plane.product
    run = plane.row_size // plane.phases
    with (
        T.grid(plane.word_rows, plane.phases) as (y, phase),
        each_vector(run, product.lanes) as (start, lanes),
    ):
        inputs = []
        for row in range(min(product.rows, workload.kernel[0])):
            first = (y + row * workload.dilation[0]) * plane.row_size + phase + start * plane.phases
            inputs.append(image[T.Ramp(first, plane.phases, lanes)] if lanes > 1 else image[first])
        store(words, (y * plane.phases + phase) * run + start, product.word(inputs, lanes), lanes)


def _write_output(plane: _Plane, arguments: Arguments, task: Any, words: Any, tile: int) -> None:
    """Write the output in rows of tiles, for each vector of a block's channels."""
    workload, product, block = plane.workload, plane.product, plane.block
    planes = workload.in_channels // block
    lanes, pixels = plane.lanes, plane.row_vectors
    with T.serial(max(block // lanes, 1)) as part:
        channel = T.bind(task % planes * block + part * lanes)
        weights = _weights(plane, arguments, channel, lanes)
        with T.grid(workload.out_height, -(-pixels // tile)) as (y, tile_x):
            first = T.bind(T.min(tile_x * tile, pixels - tile))
            starts = [_first_pixel(plane, first + at, lanes) for at in range(tile)]
            registers = [T.alloc_buffer((lanes,), product.dtype) for _ in range(tile)]
            for register in registers:
                store(register, 0, product.zero(lanes), lanes)
            for word in range(plane.words_down):
                for s in range(workload.kernel[1]):
                    weight = weights(word, s)
                    for register, x in zip(registers, starts, strict=True):
                        row = y * workload.stride[0] + word * product.rows * workload.dilation[0]
                        column = x * workload.stride[1] + s * workload.dilation[1]
                        at = plane.word_index(row, column) + (part * lanes if block > 1 else 0)
                        data = load(words, at, lanes)
                        store(register, 0, product.add(load(register, 0, lanes), data, weight, lanes), lanes)
            for register, x in zip(registers, starts, strict=True):
                index = T.bind(
                    ((task * workload.out_height + y) * workload.out_width + x) * block + part * lanes
                )
                _store_row(plane, arguments, register, channel, index, lanes)


def _first_pixel(plane: _Plane, vector: Any, lanes: int) -> Any:
    """First pixel of vector `vector` of an output row; a plane's last may overlap with its neighbour."""
    if plane.block > 1:
        return vector
    return T.min(vector * lanes, plane.workload.out_width - lanes)


def _store_row(
    plane: _Plane, arguments: Arguments, register: Any, channel: Any, index: Any, lanes: int
) -> None:
    output = arguments.output
    with T.vectorized(lanes) as lane:
        o = channel + lane if plane.block > 1 else channel
        offset = arguments.offsets[o] if plane.product.signed else 0
        total = register[lane].astype("int32") + offset
        residual = None if output.residual is None else output.residual[index + lane]
        T.buffer_store(output.buffer, output.value(total, o, residual), [index + lane])


def _weights(plane: _Plane, arguments: Arguments, channel: Any, lanes: int) -> Any:
    """The weights of a vector's channels as `product` takes them: (word, column) -> vector."""
    workload, product = plane.workload, plane.product
    width = lanes if plane.block > 1 else 1
    arrays = {}
    for word in range(plane.words_down):
        for s in range(workload.kernel[1]):
            packed = word * product.rows // 4
            at = (channel // BLOCK * column_words(workload) + packed) * workload.kernel[1] + s
            four = load(arguments.weight, at * BLOCK + channel % BLOCK, width)
            array = T.alloc_buffer((width,), product.dtype)
            store(array, 0, product.weight(four, word * product.rows % 4, width), width)
            arrays[word, s] = array

    def weight(word: int, s: int) -> Any:
        value = load(arrays[word, s], 0, width)
        return value if width == lanes else broadcast(value, lanes)

    return weight


def _power_of_two(limit: int) -> int:
    return 1 << (limit.bit_length() - 1)
