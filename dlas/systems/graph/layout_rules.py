"""Operators, besides convolutions, that can work on activations in blocks of channels."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from tvm import relax

from dlas.algorithms.layout import activation_block

ELEMENT_WISE = frozenset(
    f"relax.{name}"
    for name in (
        *("add", "subtract", "multiply", "divide", "maximum", "minimum"),
        *("nn.relu", "nn.silu", "nn.gelu", "nn.leakyrelu", "clip", "sigmoid", "tanh", "exp", "sqrt", "rsqrt"),
        *("negative", "abs", "astype", "quantize", "dequantize"),
    )
)
"""Operators that treat every element alike: the layout of their operands is that of their result."""


def activations(value: relax.Expr) -> list[relax.Var]:
    """The variables of four dimensions that `value` reads."""
    return [var for var in relax.analysis.free_vars(value) if shape_of(var) is not None]


def shape_of(value: relax.Expr) -> tuple[int, int, int, int] | None:
    """Shape of an activation, NCHW; None for anything else."""
    if not isinstance(value.ty, relax.TensorType) or len(value.ty.shape) != 4:
        return None
    batch, channels, height, width = (int(extent) for extent in value.ty.shape)
    return batch, channels, height, width


def keeps_blocks(value: relax.Expr) -> bool:
    """Whether `value` is an activation that can be computed in blocks from operands in as many channels."""
    shape = shape_of(value)
    name = operator_name(value)
    if shape is None or activation_block(shape[1]) == 1:
        return False
    if name == "relax.concat":
        parts = value.args[0]
        shapes = [shape_of(part) for part in parts.fields] if isinstance(parts, relax.Tuple) else [None]
        divides = all(part is not None and part[1] % activation_block(shape[1]) == 0 for part in shapes)
        return int(value.attrs.axis) in (1, -3) and divides
    if name == "relax.mean":
        return is_over_planes(value)
    return name in POOLS or (name in ELEMENT_WISE and all(_fits(operand, shape[1]) for operand in value.args))


def is_over_planes(value: relax.Call) -> bool:
    """Whether a mean is over the height and the width of an activation."""
    if shape_of(value.args[0]) is None or value.attrs.axis is None:
        return False
    return sorted(int(axis) % 4 for axis in value.attrs.axis) == [2, 3]


def is_reshaped_pixel(value: relax.Expr) -> bool:
    """Whether `value` reshapes a plane of one pixel, whose channels have one order in every layout."""
    if operator_name(value) != "relax.reshape":
        return False
    shape = shape_of(value.args[0])
    return shape is not None and shape[2:] == (1, 1)


def operator_name(value: relax.Expr) -> str:
    """Name of the operator that is called, such as `relax.add`; "" for anything else."""
    return str(getattr(getattr(value, "op", None), "name", ""))


def constant_in_blocks(constant: relax.Expr, block: int) -> relax.Expr:
    """A number per channel, (N, C, 1, 1), in blocks."""
    values: np.ndarray = constant.value.numpy()
    return relax.const(values.reshape(len(values), -1, 1, 1, block))


def _fits(operand: relax.Expr, channels: int) -> bool:
    """Whether the operand fits blocks of so many channels. A number, and what is no tensor, is the same
    in every layout."""
    if not isinstance(operand.ty, relax.TensorType) or len(operand.ty.shape) == 0:
        return True
    shape = shape_of(operand)
    return (
        shape is not None and shape[1] == channels and (isinstance(operand, relax.Var) or shape[2:] == (1, 1))
    )


def _pooling(operator: Callable[..., relax.Expr]) -> Callable[[relax.Expr, Any, str], relax.Expr]:
    def pooled(data: relax.Expr, attrs: Any, layout: str) -> relax.Expr:
        return operator(
            data,
            list(attrs.pool_size),
            list(attrs.strides),
            list(attrs.padding),
            list(attrs.dilation),
            attrs.ceil_mode,
            attrs.count_include_pad,
            layout=layout,
        )

    return pooled


def _adaptive(data: relax.Expr, attrs: Any, layout: str) -> relax.Expr:
    return relax.op.nn.adaptive_avg_pool2d(data, attrs.output_size, layout=layout)


POOLS = MappingProxyType(
    {
        "relax.nn.max_pool2d": _pooling(relax.op.nn.max_pool2d),
        "relax.nn.avg_pool2d": _pooling(relax.op.nn.avg_pool2d),
        "relax.nn.adaptive_avg_pool2d": _adaptive,
    }
)
"""Operators of pooling in any layout; each takes the data, the attributes of the NCHW
operator and the layout."""
