"""Indexing by tensors of indices."""

from __future__ import annotations

from math import prod
from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, extents, in_type, reshaped


def _index(node: Node, importer: Any) -> relax.Expr:
    """`data[indices]`, where None takes a whole dimension.

    The indexed dimensions go to the front and become one, along which elements are taken. What is taken
    goes where PyTorch has it: to the place of the indexed dimensions if they stand side by side, else to the
    front.
    """
    given, builder = arguments(node, importer), importer.block_builder
    data, shape = given["input"], extents(given["input"])
    indices = {dim: index for dim, index in enumerate(given["indices"]) if index is not None}
    rest = [dim for dim in range(len(shape)) if dim not in indices]
    order = [*indices, *rest]
    if order != sorted(order):
        data = builder.emit(relax.op.permute_dims(data, order))
    data = reshaped(importer, data, [prod(shape[dim] for dim in indices), *(shape[dim] for dim in rest)])
    position = None
    for dim, index in indices.items():
        inside = _inside(index, shape[dim], importer)
        if position is None:
            position = inside
        else:
            rows = builder.emit(relax.op.multiply(position, relax.const(shape[dim], "int64")))
            position = builder.emit(relax.op.add(rows, inside))
    found = extents(position)
    flat = reshaped(importer, position, [prod(found)])
    taken = builder.emit(relax.op.take(data, flat, axis=0, mode="clip"))
    taken = reshaped(importer, taken, [*found, *(shape[dim] for dim in rest)])
    first = min(indices)
    if first == 0 or list(indices) != list(range(first, first + len(indices))):
        return taken
    dims = list(range(len(extents(taken))))
    before = dims[len(found) : len(found) + first]
    return builder.emit(
        relax.op.permute_dims(taken, [*before, *dims[: len(found)], *dims[len(found) + first :]])
    )


def _inside(index: relax.Expr, length: int, importer: Any) -> relax.Expr:
    """Indices from 0 on: negative ones count from the end."""
    builder, index = importer.block_builder, in_type(importer, index, "int64")
    from_end = builder.emit(relax.op.add(index, relax.const(length, "int64")))
    is_negative = builder.emit(relax.op.less(index, relax.const(0, "int64")))
    return builder.emit(relax.op.where(is_negative, from_end, index))


CONVERTERS: dict[str, Converter] = {"index.Tensor": _index}
