"""Interpolation: along each dimension sums of a few elements, by the weights that PyTorch gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, dtype_of, extents, named


def _interpolated(node: Node, importer: Any) -> relax.Expr:
    result = arguments(node, importer)["input"]
    for axis in range(2, len(extents(result))):
        result = _along(axis, _weights(node, axis, extents(result)[axis]), result, importer)
    return result


def _weights(node: Node, axis: int, length: int) -> torch.Tensor:
    """What PyTorch makes of each element of a row alone, (in, out).

    The other dimension has two elements, and keeps them: with one of them PyTorch 2 takes rows for channels
    where it smooths.
    """
    given = named(node)
    axes = range(2, given["input"].meta["val"].dim())
    row = torch.eye(length).reshape(1, length, *(length if each == axis else 1 for each in axes))
    given["input"] = row.expand(1, length, *(length if each == axis else 2 for each in axes)).contiguous()
    for name, same in (("output_size", 2), ("scale_factors", 1.0)):
        if given.get(name) is not None:
            given[name] = [
                value if each == axis else same for each, value in zip(axes, given[name], strict=True)
            ]
    made = cast("Callable[..., torch.Tensor]", node.target)(**given)
    return made[0].movedim(axis - 1, 1).flatten(2)[..., 0] if made.dim() > 3 else made[0]


def _along(axis: int, weights: torch.Tensor, data: relax.Expr, importer: Any) -> relax.Expr:
    """Sums along one dimension: element j is the sum of data[i] * weights[i, j]."""
    builder = importer.block_builder
    if torch.equal(weights, torch.eye(len(weights))):
        return data
    positions = weights.abs().topk(int((weights != 0).sum(0).max()), 0).indices
    shape = [-1 if each == axis else 1 for each in range(len(extents(data)))]
    total = None
    for position, factor in zip(positions, weights.gather(0, positions), strict=True):
        term = builder.emit(relax.op.take(data, relax.const(position.numpy(), "int64"), axis, mode="clip"))
        if not bool((factor == 1).all()):
            factors = relax.const(factor.reshape(shape).numpy(), dtype_of(data))
            term = builder.emit(relax.op.multiply(term, factors))
        total = term if total is None else builder.emit(relax.op.add(total, term))
    return total


CONVERTERS: dict[str, Converter] = dict.fromkeys(
    (
        *("upsample_nearest1d.vec", "upsample_nearest2d.vec"),
        *("_upsample_nearest_exact1d.vec", "_upsample_nearest_exact2d.vec"),
        *("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_bicubic2d.vec"),
        *("_upsample_bilinear2d_aa.vec", "_upsample_bicubic2d_aa.vec"),
    ),
    _interpolated,
)
