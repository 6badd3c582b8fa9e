"""Winograd convolution, F(m x m, 3 x 3): what its tile sizes share (Lavin & Gray, arXiv:1509.09308).

An output tile of m x m pixels depends on an input tile of a x a, a = m + 2. With the constant matrices of the
transform, V = B^T d B of an input tile d and U = G g G^T of a filter g, its pixels are A^T (U * V) A, the
product being element by element: a * a multiplications in the place of 9 * m * m. Summed over the input
channels, that is a * a small matrix products, (tiles, I) x (I, O), one for each point of the tile.

The tiles of an image are counted through, in runs of equal length, whose sums are held in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te

from dlas.algorithms.layout import MAX_BLOCK, activation_block, element
from dlas.algorithms.shared.dense import packing
from dlas.algorithms.shared.dense.border import input_placeholder, with_epilogue
from dlas.algorithms.shared.dense.tiling import largest_divisor
from dlas.interfaces.workload import ConvWorkload

KERNEL = 3

MAX_RUN = 16

TILES_IN_REGISTERS = (6, 14)
"""The most tiles whose sums fit beside the operands, with two vectors of output channels for each, in 16 and
in 32 registers."""

LOAD_COST = 0.5
"""Cost of loading an operand of a multiply-add, in multiply-adds."""

RUNS_IN_CHUNK = 4
INDIVISIBLE_COST = 0.1
"""Cost of more runs than `RUNS_IN_CHUNK` that no small number divides: they can't be cut into equal
chunks."""

Matrix = tuple[tuple[float, ...], ...]

WeightedSum = Callable[[Sequence[float], Sequence[Any]], Any]


@dataclass(frozen=True)
class Transform:
    """The matrices of F(m, 3) in one dimension; nested with themselves they make F(m x m, 3 x 3).

    Their points are 0, pairs of opposite numbers side by side, and infinity.
    """

    input: Matrix
    """B^T, (a, a)."""
    filter: Matrix
    """G, (a, 3)."""
    output: Matrix
    """A^T, (m, a)."""

    @property
    def pixels(self) -> int:
        """Pixels of an output tile's side: m."""
        return len(self.output)

    @property
    def points(self) -> int:
        """Points of an input tile's side: a."""
        return len(self.input)


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an image, row by row, in runs of equal length; the last may be part empty."""

    columns: int
    tiles: int
    run: int

    @property
    def runs(self) -> int:
        return -(-self.tiles // self.run)


def unsupported(workload: ConvWorkload) -> str:
    """The first reason why Winograd cannot serve the layer, or ""."""
    reasons = {
        "winograd serves 3x3 kernels only": workload.kernel != (KERNEL, KERNEL),
        "winograd serves stride 1 only": workload.stride != (1, 1),
        "winograd does not serve dilated convolutions": workload.dilation != (1, 1),
        "winograd does not serve groups": workload.groups > 1,
        "winograd does not serve int8: its transforms are not exact there": workload.dtype == "int8",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHWc in and out, where the channels divide into blocks."""
    return activation_block(workload.in_channels), activation_block(workload.out_channels)


def pack_weight(transform: Transform, workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights, transformed, as float32 (a * a, O / lanes, I, lanes); lanes without a channel are 0."""
    matrix = np.asarray(transform.filter, np.float64)
    filters = np.einsum("ir,ocrs,js->ijco", matrix, weight.astype(np.float64), matrix, optimize=True)
    points, blocks, lanes = transform.points**2, output_blocks(workload), output_lanes(workload)
    packed = np.zeros((points, workload.in_channels, blocks * lanes), np.float32)
    packed[..., : workload.out_channels] = filters.reshape(points, workload.in_channels, -1)
    blocked = packed.reshape(points, workload.in_channels, blocks, lanes)
    return (np.ascontiguousarray(blocked.transpose(0, 2, 1, 3)),)


def compute(transform: Transform, workload: ConvWorkload) -> list[te.Tensor]:
    """[input, weight (a * a, O / lanes, I, lanes), bias?, residual?, output]; sums in float32."""
    m, a, grid = transform.pixels, transform.points, tile_grid(transform, workload)
    i_lanes, o_lanes = input_lanes(workload), output_lanes(workload)
    i_blocks, o_blocks = -(-workload.in_channels // i_lanes), output_blocks(workload)
    data = input_placeholder(workload)
    weight = te.placeholder((a * a, o_blocks, workload.in_channels, o_lanes), "float32", name="weight")

    def input_pixel(block: Any, n: Any, run: Any, tile: Any, r: Any, s: Any, lane: Any) -> Any:
        c, t = block * i_lanes + lane, run * grid.run + tile
        y = t // grid.columns * m + r - workload.padding[0]
        x = t % grid.columns * m + s - workload.padding[1]
        inside = te.all(
            t < grid.tiles, c < workload.in_channels, y >= 0, y < workload.height, x >= 0, x < workload.width
        )
        pixel = element(data, workload.input_block, n, c, y, x)
        return te.if_then_else(inside, pixel.astype("float32"), te.const(0, "float32"))

    tiles = (workload.batch, grid.runs, grid.run)
    input_tile = te.compute((i_blocks, *tiles, a, a, i_lanes), input_pixel, name="input_tile")
    input_columns = te.compute(
        (i_blocks, *tiles, a, a, i_lanes),
        lambda b, n, run, t, i, s, lane: selected(
            i, transform.input, input_sum, [input_tile[b, n, run, t, r, s, lane] for r in range(a)]
        ),
        name="input_columns",
    )
    transformed = te.compute(
        (a * a, i_blocks, *tiles, i_lanes),
        lambda p, b, n, run, t, lane: selected(
            p % a,
            transform.input,
            input_sum,
            [input_columns[b, n, run, t, p // a, s, lane] for s in range(a)],
        ),
        name="transformed",
    )
    c = te.reduce_axis((0, workload.in_channels), name="c")
    matmul = te.compute(
        (o_blocks, *tiles, a * a, o_lanes),
        lambda b, n, run, t, p, lane: te.sum(
            transformed[p, c // i_lanes, n, run, t, c % i_lanes] * weight[p, b, c, lane], axis=[c]
        ),
        name="matmul",
    )
    output_columns = te.compute(
        (o_blocks, workload.batch, grid.tiles, m, a, o_lanes),
        lambda b, n, t, y, j, lane: selected(
            y,
            transform.output,
            output_sum,
            [matmul[b, n, t // grid.run, t % grid.run, i * a + j, lane] for i in range(a)],
        ),
        name="output_columns",
    )
    output_tile = te.compute(
        (o_blocks, workload.batch, grid.tiles, m, m, o_lanes),
        lambda b, n, t, y, x, lane: selected(
            x, transform.output, output_sum, [output_columns[b, n, t, y, j, lane] for j in range(a)]
        ),
        name="output_tile",
    )

    def convolved(n: Any, o: Any, y: Any, x: Any) -> Any:
        return output_tile[o // o_lanes, n, y // m * grid.columns + x // m, y % m, x % m, o % o_lanes]

    return with_epilogue(workload, [data, weight], convolved)


def selected(index: Any, matrix: Matrix, weighted_sum: WeightedSum, values: Sequence[Any]) -> Any:
    """Element `index` of `matrix @ values`: where the index is a constant, one weighted sum is left."""
    *others, chosen = (weighted_sum(weights, values) for weights in matrix)
    for number, other in reversed(list(enumerate(others))):
        chosen = te.if_then_else(index == number, other, chosen)
    return chosen


def input_sum(weights: Sequence[float], values: Sequence[Any]) -> Any:
    """weights @ values, as even half + factor * odd half.

    The rows of opposite points differ in the factor's sign alone, so a compiler computes both halves once.
    """
    terms = list(zip(weights, values, strict=True))
    even, odd = (_without_zeros(terms[start::2]) for start in (0, 1))
    if not even or not odd:
        return plain_sum(even or odd)
    factor = odd[-1][0]
    return plain_sum([(1, plain_sum(even)), (factor, plain_sum([(w / factor, value) for w, value in odd]))])


def output_sum(weights: Sequence[float], values: Sequence[Any]) -> Any:
    """weights @ values; the values of opposite points, of equal weight but for its sign, are paired first.

    Every row shares the pairs' sums and differences, so a compiler computes them once.
    """
    pairs = [
        (weights[i], values[i] + values[i + 1] if weights[i] == weights[i + 1] else values[i] - values[i + 1])
        for i in range(1, len(values) - 1, 2)
    ]
    return plain_sum(_without_zeros([(weights[0], values[0]), *pairs, (weights[-1], values[-1])]))


def plain_sum(terms: Sequence[tuple[float, Any]]) -> Any:
    """The sum of weight * value, a positive weight first, without multiplications by 1."""
    (weight, value), *others = sorted(terms, key=lambda term: term[0] < 0)
    total = _scaled(weight, value)
    for weight, value in others:
        total = total + _scaled(weight, value) if weight > 0 else total - _scaled(-weight, value)
    return total


def _scaled(weight: float, value: Any) -> Any:
    return value if weight == 1 else value * te.const(weight, "float32")


def _without_zeros(terms: Sequence[tuple[float, Any]]) -> list[tuple[float, Any]]:
    return [(weight, value) for weight, value in terms if weight]


def tile_grid(transform: Transform, workload: ConvWorkload) -> TileGrid:
    """The tiles that cover an image's output."""
    rows, columns = (-(-pixels // transform.pixels) for pixels in workload.output_shape[2:])
    return TileGrid(columns, rows * columns, run_length(rows * columns))


def run_length(tiles: int) -> int:
    """Tiles in one run, for any CPU: few empty ones, and divisors near what the registers hold."""

    def cost(run: int) -> float:
        runs = -(-tiles // run)
        loads = sum(1 / largest_divisor(run, limit) for limit in TILES_IN_REGISTERS)
        indivisible = runs > RUNS_IN_CHUNK and largest_divisor(runs, RUNS_IN_CHUNK) == 1
        return runs * run / tiles * (1 + LOAD_COST * loads + INDIVISIBLE_COST * indivisible)

    return min(range(1, min(tiles, MAX_RUN) + 1), key=cost)


def input_lanes(workload: ConvWorkload) -> int:
    """Input channels transformed together: a block of NCHWc, or of NCHW what one vector holds."""
    if workload.input_block > 1:
        return workload.input_block
    return min(MAX_BLOCK, 1 << (workload.in_channels - 1).bit_length())


def output_lanes(workload: ConvWorkload) -> int:
    """Output channels summed together: a block of NCHWc, or of NCHW what one vector holds."""
    return workload.output_block if workload.output_block > 1 else packing.weight_block(workload)


def output_blocks(workload: ConvWorkload) -> int:
    """Blocks of `output_lanes` channels; the last may be part empty."""
    return -(-workload.out_channels // output_lanes(workload))
