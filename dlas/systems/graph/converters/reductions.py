"""Largest and smallest values, truths and products along dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, in_type


def _along_dimensions(operation: Callable[..., relax.Expr]) -> Converter:
    def convert(node: Node, importer: Any) -> relax.Var:
        given = arguments(node, importer)
        dim = given["dim"]
        axes = [dim] if isinstance(dim, int) else list(dim) or None
        return importer.block_builder.emit(operation(given["input"], axes, keepdims=given["keepdim"]))

    return convert


def _with_index(value: Callable[..., relax.Expr], index: Callable[..., relax.Expr]) -> Converter:
    """A converter of an operator that gives the extreme values along a dimension, and where they are."""

    def convert(node: Node, importer: Any) -> relax.Tuple:
        given, builder = arguments(node, importer), importer.block_builder
        data, dim, keep = given["input"], given["dim"], given["keepdim"]
        values = builder.emit(value(data, [dim], keepdims=keep))
        return relax.Tuple([values, builder.emit(index(data, dim, keep))])

    return convert


def _any(node: Node, importer: Any) -> relax.Var:
    """Whether any element is not 0: the largest of truths as numbers."""
    given, builder = arguments(node, importer), importer.block_builder
    dim = given.get("dim")
    axes = [dim] if isinstance(dim, int) else dim
    numbers = in_type(importer, in_type(importer, given["input"], "bool"), "int8")
    return in_type(importer, builder.emit(relax.op.max(numbers, axes, given.get("keepdim", False))), "bool")


CONVERTERS: dict[str, Converter] = {
    "any.default": _any,
    "any.dim": _any,
    "any.dims": _any,
    "amax.default": _along_dimensions(relax.op.max),
    "amin.default": _along_dimensions(relax.op.min),
    "prod.dim_int": _along_dimensions(relax.op.prod),
    "max.dim": _with_index(relax.op.max, relax.op.argmax),
    "min.dim": _with_index(relax.op.min, relax.op.argmin),
}
