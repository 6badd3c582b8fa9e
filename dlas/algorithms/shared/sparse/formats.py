"""Sparse weights as the arrays that kernels read; in the place of a column stands where its inputs start."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dlas.algorithms.shared.sparse.views import OFFSETS, Views
from dlas.interfaces.workload import ConvWorkload

CSR_BLOCK = (1, 1)
"""Rows and columns of what CSR stores: single weights."""

KEPT_ROWS = 8
"""Output channels that channel_index stores together: each run of the input serves so many sums."""

MAX_IN_STEP = 400
"""Multiply-adds of a step of channel_index: with more, compiling takes many seconds. A step of fewer than
about a hundred would be slower for its loop."""

MIN_BLOCKS = 8
"""Smallest number of blocks per row and segment, on average: with fewer, taking up a row's sums again costs
more than it gains."""


def block_of(workload: ConvWorkload) -> tuple[int, int]:
    """Rows and columns of the blocks that the workload's format stores."""
    if not workload.format.startswith("bsr"):
        return CSR_BLOCK
    rows, columns = workload.format.removeprefix("bsr").split("x")
    return int(rows), int(columns)


def summed_together(workload: ConvWorkload) -> tuple[int, int]:
    """Number of output channels that share the runs that they read, and number of such groups of channels."""
    rows = KEPT_ROWS if workload.format == "channel_index" else block_of(workload)[0]
    return rows, math.ceil(workload.out_channels / rows)


def terms_of_step(workload: ConvWorkload, sums: int) -> int:
    """Runs of the input that so many vectors of sums are made of in one step: those of a stored block, of a
    kept channel or, where these are too many, of a kept channel and a column of the kernel."""
    if workload.format != "channel_index":
        return block_of(workload)[1]
    positions = math.prod(workload.kernel)
    return positions if positions * sums <= MAX_IN_STEP else workload.kernel[0]


def stored_fraction(workload: ConvWorkload, weight: np.ndarray) -> float:
    """Fraction of an OIHW weight that its format stores; blocks with a weight that is not zero are stored
    whole."""
    if workload.format == "channel_index":
        kept = (np.any(weight != 0, axis=axes).mean() for axes in ((1, 2, 3), (0, 2, 3)))
        return float(math.prod(kept))
    return float(np.any(_blocks(workload, weight) != 0, axis=(1, 3)).mean())


def random_weight(workload: ConvWorkload, fraction: float, random: np.random.Generator) -> np.ndarray:
    """An OIHW weight of which the workload's format stores about so much: blocks, or channels, at random."""
    weight: np.ndarray = random.standard_normal(workload.weight_shape, np.float32)
    if workload.format == "channel_index":
        outputs, inputs = (random.random(count) < math.sqrt(fraction) for count in weight.shape[:2])
        weight[~outputs], weight[:, ~inputs] = 0, 0
        return weight
    blocks = _blocks(workload, weight)
    kept = random.random((blocks.shape[0], 1, blocks.shape[2], 1)) < fraction
    return (blocks * kept).astype(np.float32).reshape(workload.weight_shape)


def _blocks(workload: ConvWorkload, weight: np.ndarray) -> np.ndarray:
    """The weight matrix as (block rows, rows, block columns, columns)."""
    rows, columns = block_of(workload)
    return weight.reshape(workload.out_channels // rows, rows, -1, columns)


def unsupported_weights(workload: ConvWorkload) -> str:
    """Say why the workload's format cannot hold its weights; "" where it can."""
    if workload.dtype != "float32":
        return f"sparse formats hold float32 weights, not {workload.dtype}"
    if workload.format == "channel_index":
        return "channel_index lists the channels of layers without groups" if workload.groups > 1 else ""
    rows, columns = block_of(workload)
    channels, depth = workload.out_channels, math.prod(workload.weight_shape[1:])
    if channels % rows or depth % columns:
        return f"blocks of {rows}x{columns} do not divide the weight matrix of {channels}x{depth}"
    if workload.group_out_channels % rows:
        return f"blocks of {rows} rows do not divide a group's {workload.group_out_channels} output channels"
    return ""


def pack(views: Views, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An OIHW weight as the arrays of the workload's format: see the functions below."""
    if views.workload.format == "channel_index":
        return pack_kept_channels(views.workload, weight)
    if block_of(views.workload) == CSR_BLOCK:
        return pack_compressed_sparse_rows(views, weight)
    return pack_block_sparse_rows(views, weight)


def pack_block_sparse_rows(views: Views, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The blocks of an OIHW weight that are not all zero, as (values, offsets, pointers).

    The weight is the matrix (O, I * H * W). Its input channels fall into segments (see `segment_channels`),
    of which each is stored as SciPy's `bsr_array` stores it, one after the other. Values are
    (stored, columns, rows), each block transposed; offsets (stored, columns) uint16 into the views of the
    segment's channels, or of a group's, in the place of the columns; row pointers
    (segments * O / rows + 1,) int32.
    """
    workload = views.workload
    _, columns = block_of(workload)
    blocks = _blocks(workload, weight).transpose(0, 2, 3, 1)
    row, column = np.nonzero(np.any(blocks != 0, axis=(2, 3)))
    segments = segment_count(views, len(row))
    channels = segment_channels(workload, segments)
    segment = column * columns // (channels * math.prod(workload.kernel))
    order = np.lexsort((column, row, segment))
    row, column, segment = row[order], column[order], segment[order]
    offsets = views.offsets.reshape(-1, columns)[column] - segment[:, None] * channels * views.channel_size
    counts = np.bincount(segment * len(blocks) + row, minlength=segments * len(blocks))
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return (
        np.ascontiguousarray(blocks[row, column]),
        np.ascontiguousarray(offsets.astype(np.uint16)),
        pointers.astype(np.int32),
    )


def pack_compressed_sparse_rows(
    views: Views, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights that are not zero: as `pack_block_sparse_rows` for single weights, with values and offsets
    flat, and each segment as SciPy's `csr_array`."""
    values, offsets, pointers = pack_block_sparse_rows(views, weight)
    return values.reshape(-1), offsets.reshape(-1), pointers


def pack_kept_channels(
    workload: ConvWorkload, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The channels of an OIHW weight that are not all zero, dense, and which they are.

    Returns values (blocks, inputs, H * W, `KEPT_ROWS`), the kept output channels in blocks of so many, the
    last one filled up with zeros; the kept inputs (inputs,) int32; and outputs (O,) int32, the kept ones
    first and then those without a weight.
    """
    kept_output = np.any(weight != 0, axis=(1, 2, 3))
    inputs = np.flatnonzero(np.any(weight != 0, axis=(0, 2, 3)))
    outputs = np.concatenate([np.flatnonzero(kept_output), np.flatnonzero(~kept_output)])
    dense = weight[kept_output][:, inputs].reshape(
        np.count_nonzero(kept_output), len(inputs), math.prod(workload.kernel)
    )
    filled = np.pad(dense, ((0, -len(dense) % KEPT_ROWS), (0, 0), (0, 0)))
    blocks = filled.reshape(len(filled) // KEPT_ROWS, KEPT_ROWS, *dense.shape[1:]).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(blocks), inputs.astype(np.int32), outputs.astype(np.int32)


def segment_count(views: Views, stored: int) -> int:
    """Number of segments that a group's input channels fall into, for a weight of `stored` blocks. A
    segment's channels fit the cache, more of them where a row's sums share what they read; offsets reach all
    of them."""
    workload = views.workload
    rows, _ = block_of(workload)
    fitting = math.ceil(workload.group_in_channels / (views.channels_in_cache * rows))
    filled = stored * rows // (workload.out_channels * MIN_BLOCKS)
    reached = math.ceil(workload.group_in_channels / (OFFSETS // views.channel_size))
    channels: int = segment_channels(workload, max(1, reached, min(fitting, filled)))
    return math.ceil(workload.group_in_channels / channels)


def segment_channels(workload: ConvWorkload, segments: Any) -> Any:
    """A group's input channels of each of so many segments, the last one maybe less; no block lies in two of
    them."""
    columns = block_of(workload)[1]
    whole = columns // math.gcd(columns, math.prod(workload.kernel))
    each = -(-workload.group_in_channels // segments)
    return -(-each // whole) * whole
