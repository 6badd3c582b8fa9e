"""Tensors in other shapes: views, of which the exported program has the shape, and slices."""

from __future__ import annotations

from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, extents, reshaped, shape_of


def _view(node: Node, importer: Any) -> relax.Expr:
    return reshaped(importer, importer.env[node.args[0]], shape_of(node))


def _broadcast(node: Node, importer: Any) -> relax.Expr:
    data, shape = importer.env[node.args[0]], shape_of(node)
    return data if extents(data) == shape else importer.block_builder.emit(relax.op.broadcast_to(data, shape))


def _slice(node: Node, importer: Any) -> relax.Expr:
    given = arguments(node, importer)
    data, dim = given["input"], given["dim"]
    length = extents(data)[dim]
    start, end, step = slice(given["start"], given["end"], given["step"]).indices(length)
    if (start, end, step) == (0, length, 1):
        return data
    return importer.block_builder.emit(
        relax.op.strided_slice(data, [dim % len(extents(data))], [start], [max(start, end)], [step])
    )


def _select(node: Node, importer: Any) -> relax.Expr:
    given = arguments(node, importer)
    data = given["input"]
    dim = given["dim"] % len(extents(data))
    index = given["index"] % extents(data)[dim]
    chosen = importer.block_builder.emit(relax.op.strided_slice(data, [dim], [index], [index + 1]))
    return reshaped(importer, chosen, shape_of(node))


CONVERTERS: dict[str, Converter] = {
    "view.default": _view,
    "unsqueeze.default": _view,
    "squeeze.dims": _view,
    "expand.default": _broadcast,
    "slice.Tensor": _slice,
    "select.int": _select,
}
