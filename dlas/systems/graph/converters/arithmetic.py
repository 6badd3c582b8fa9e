"""Operators of two operands, in the data type that PyTorch computes them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import (
    Converter,
    arguments,
    dtype_of,
    in_type,
    named,
    type_name,
    value_of,
)

Operation = Callable[[relax.Expr, relax.Expr], relax.Expr]


def _operands(node: Node, importer: Any, dtype: torch.dtype) -> tuple[relax.Expr, relax.Expr]:
    """Both operands in one data type: PyTorch has numbers and tensors of several types beside each other."""
    given = list(arguments(node, importer).values())[:2]
    left, right = (in_type(importer, value, type_name(dtype)) for value in given)
    return left, right


def _arithmetic(operation: Operation) -> Converter:
    """A converter of what is computed in the data type of its result."""

    def convert(node: Node, importer: Any) -> relax.Var:
        return importer.block_builder.emit(operation(*_operands(node, importer, value_of(node).dtype)))

    return convert


def _comparison(operation: Operation) -> Converter:
    """A converter of what is computed in the data type of its operands, and gives truths."""

    def convert(node: Node, importer: Any) -> relax.Var:
        left, right = (value_of(read) if isinstance(read, Node) else read for read in named(node).values())
        return importer.block_builder.emit(
            operation(*_operands(node, importer, torch.result_type(left, right)))
        )

    return convert


def _with_factor(operation: Operation) -> Converter:
    """A converter of input + alpha * other, or input - alpha * other."""

    def convert(node: Node, importer: Any) -> relax.Var:
        left, right = _operands(node, importer, value_of(node).dtype)
        builder, alpha = importer.block_builder, arguments(node, importer)["alpha"]
        if alpha != 1:
            right = builder.emit(relax.op.multiply(right, relax.const(alpha, dtype_of(right))))
        return builder.emit(operation(left, right))

    return convert


def _division(node: Node, importer: Any) -> relax.Var:
    """A quotient that is rounded down, or to zero."""
    dtype, mode = value_of(node).dtype, arguments(node, importer)["rounding_mode"]
    left, right = _operands(node, importer, dtype)
    builder = importer.block_builder
    if mode == "floor" and not dtype.is_floating_point:
        return builder.emit(relax.op.floor_divide(left, right))
    quotient = builder.emit(relax.op.divide(left, right))
    if mode is None or not dtype.is_floating_point:
        return quotient
    return builder.emit({"floor": relax.op.floor, "trunc": relax.op.trunc}[mode](quotient))


def _clamp(node: Node, importer: Any) -> relax.Expr:
    """Elements between two tensors, either of which may be missing."""
    given, dtype = arguments(node, importer), type_name(value_of(node).dtype)
    result = in_type(importer, given["input"], dtype)
    for name, operation in (("min", relax.op.maximum), ("max", relax.op.minimum)):
        if given[name] is not None:
            bound = in_type(importer, given[name], dtype)
            result = importer.block_builder.emit(operation(result, bound))
    return result


_BITWISE: dict[str, Operation] = {
    "and": relax.op.bitwise_and,
    "or": relax.op.bitwise_or,
    "xor": relax.op.bitwise_xor,
}

_COMPARISONS: dict[str, Operation] = {
    "eq": relax.op.equal,
    "ne": relax.op.not_equal,
    "gt": relax.op.greater,
    "ge": relax.op.greater_equal,
    "lt": relax.op.less,
    "le": relax.op.less_equal,
}

CONVERTERS: dict[str, Converter] = {
    "add.Tensor": _with_factor(relax.op.add),
    "add.Scalar": _with_factor(relax.op.add),
    "sub.Tensor": _with_factor(relax.op.subtract),
    "mul.Tensor": _arithmetic(relax.op.multiply),
    "mul.Scalar": _arithmetic(relax.op.multiply),
    "div.Tensor": _arithmetic(relax.op.divide),
    "div.Tensor_mode": _division,
    "pow.Scalar": _arithmetic(relax.op.power),
    "pow.Tensor_Scalar": _arithmetic(relax.op.power),
    "pow.Tensor_Tensor": _arithmetic(relax.op.power),
    "remainder.Scalar": _arithmetic(relax.op.floor_mod),
    "remainder.Tensor": _arithmetic(relax.op.floor_mod),
    "fmod.Scalar": _arithmetic(relax.op.mod),
    "maximum.default": _arithmetic(relax.op.maximum),
    "minimum.default": _arithmetic(relax.op.minimum),
    "atan2.default": _arithmetic(relax.op.atan2),
    "clamp.Tensor": _clamp,
    **{
        f"bitwise_{name}.{overload}": _arithmetic(operation)
        for name, operation in _BITWISE.items()
        for overload in ("Tensor", "Scalar")
    },
    **{
        f"{name}.{overload}": _comparison(operation)
        for name, operation in _COMPARISONS.items()
        for overload in ("Tensor", "Scalar")
    },
}
