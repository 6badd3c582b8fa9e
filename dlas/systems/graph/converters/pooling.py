"""Pooling with divisors and windows that TVM's importer has no arguments for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.fx import Node
from torch.nn import functional
from tvm import relax

from dlas.systems.graph.converters.converter import (
    Converter,
    arguments,
    dtype_of,
    extents,
    named,
    reshaped,
    shape_of,
)


def _average(node: Node, importer: Any) -> relax.Expr:
    """Mean over windows of planes, (..., C, H, W)."""
    given, builder = arguments(node, importer), importer.block_builder
    shape = extents(given["input"])
    data = reshaped(importer, given["input"], [1] * (4 - len(shape)) + shape)
    kernel, stride = list(given["kernel_size"]), list(given["stride"] or given["kernel_size"])
    if given["divisor_override"] is None and not given["ceil_mode"]:
        pooled = relax.op.nn.avg_pool2d(
            data, kernel, stride, list(given["padding"]), count_include_pad=given["count_include_pad"]
        )
        return reshaped(importer, builder.emit(pooled), shape_of(node))
    border = _border(shape[-2:], shape_of(node)[-2:], kernel, stride, given["padding"])
    (top, bottom), (left, right) = border
    padded = builder.emit(relax.op.nn.pad(data, [0, 0, 0, 0, top, bottom, left, right]))
    means = builder.emit(relax.op.nn.avg_pool2d(padded, kernel, stride))
    corrections = relax.const(_corrections(node, shape[-2:], border), dtype_of(data))
    return reshaped(importer, builder.emit(relax.op.multiply(means, corrections)), shape_of(node))


def _border(
    plane: list[int], pooled: list[int], kernel: list[int], stride: list[int], padding: list[int]
) -> list[tuple[int, int]]:
    """Zeros before and after each dimension that make all windows whole."""
    return [
        (before, max(0, (count - 1) * step + size - length - before))
        for length, count, size, step, before in zip(plane, pooled, kernel, stride, padding, strict=True)
    ]


def _corrections(node: Node, plane: list[int], border: list[tuple[int, int]]) -> np.ndarray:
    """PyTorch's means of ones over those of whole windows, (1, 1, H, W)."""
    given = named(node)
    ones = torch.ones(1, 1, *plane)
    del given["input"]
    exact = functional.avg_pool2d(ones, **given)
    padded = functional.pad(ones, (*border[1], *border[0]))
    whole = functional.avg_pool2d(padded, given["kernel_size"], given["stride"] or given["kernel_size"])
    corrections: np.ndarray = (exact / whole).numpy()
    return corrections


def _adaptive_maximum(node: Node, importer: Any) -> relax.Tuple:
    """Largest values of windows that share a plane out, first those of rows, then those of columns."""
    given, builder = arguments(node, importer), importer.block_builder
    result = given["input"]
    first = len(extents(result)) - 2
    for axis, count in enumerate(given["output_size"], first):
        length = extents(result)[axis]
        windows = [
            relax.op.strided_slice(
                result, [axis], [index * length // count], [-(-(index + 1) * length // count)]
            )
            for index in range(count)
        ]
        largest = [builder.emit(relax.op.max(builder.emit(each), axis, keepdims=True)) for each in windows]
        result = largest[0] if count == 1 else builder.emit(relax.op.concat(largest, axis))
    return relax.Tuple([result])


CONVERTERS: dict[str, Converter] = {
    "avg_pool2d.default": _average,
    "adaptive_max_pool2d.default": _adaptive_maximum,
}
