"""Layers beside what their machine has at most: the roofline model (Williams, Waterman and Patterson 2009).

The bytes of a layer are those that it can't do without: its input, weights and output, each once. What is
read again, since the caches are too small, isn't counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dlas.hardware.results.roofs import Bounds
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.analysis.layer_row import LayerRow

DENSE = "dense"
BYTES = {"float32": 4, "float16": 2, "uint8": 1, "int8": 1, "int32": 4}
PER_MS = 1e6
"""Operations a millisecond that are 1e9 a second."""


@dataclass(frozen=True)
class Placed:
    """A layer in the plane of the roofline model."""

    data_type: str
    intensity: float
    """Operations per byte."""
    speed: float
    """1e9 operations a second."""
    roof: float | None
    """Most that the machine could do with this intensity; None where that isn't known."""

    @property
    def share(self) -> float | None:
        """Speed as a share of the roof. It may be above 1 where the data stays in the caches, or an algorithm
        such as Winograd's does with fewer operations than are counted."""
        return None if self.roof is None else self.speed / self.roof


def placed(layer: LayerRow, bounds: Bounds | None) -> Placed | None:
    """The place of a layer; None of one that is no convolution, or whose workload can't be read.

    An operation is a multiplication or an addition, of a sparse format those of weights that are not zero.
    """
    if not layer.macs or layer.time_ms <= 0:
        return None
    try:
        workload = _workload(layer.workload)
        left_out = 0.0 if workload.format == DENSE else layer.sparsity or 0.0
        operations = 2.0 * layer.macs * (1.0 - left_out)
        intensity = operations / _bytes(workload, layer.weight_bytes)
        speed = operations / layer.time_ms / PER_MS
    except (ValueError, ArithmeticError, LookupError):
        return None
    if not (0 < intensity < math.inf and 0 < speed < math.inf):  # the table may be a stranger's
        return None
    roof = None if bounds is None else bounds.roof(workload.dtype, intensity)
    return Placed(workload.dtype, intensity, speed, roof)


@lru_cache(maxsize=1024)
def _workload(key: str) -> ConvWorkload:
    """The workload of this key, which many points of a sweep have in common."""
    return ConvWorkload.from_key(key)


def _bytes(workload: ConvWorkload, weights: int | None) -> float:
    """Bytes of the input, weights, output and residual of one call."""
    read, written = BYTES[workload.data_dtype], BYTES[workload.output_dtype]
    known = _count(workload.weight_shape) * BYTES[workload.dtype] if weights is None else weights
    residual = read if workload.residual else 0
    return _count(workload.input_shape) * read + _count(workload.output_shape) * (written + residual) + known


def _count(shape: tuple[int, ...]) -> float:
    total = 1.0
    for extent in shape:
        total *= extent
    return total
