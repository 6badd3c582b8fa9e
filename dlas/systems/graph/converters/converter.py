"""What converters have in common: arguments of a node, shapes, and data types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg
from tvm import relax

Converter = Callable[[Node, Any], relax.Expr]
"""A node of the exported program and the importer to what the node computes."""


def named(node: Node) -> dict[str, Any]:
    """Arguments of a node by the names of the operator's schema, defaults included. What the schema calls
    self is `input` here."""
    module = node.graph.owning_module
    assert module is not None
    normalized = node.normalized_arguments(module, normalize_to_only_use_kwargs=True)
    assert normalized is not None
    return dict(normalized.kwargs)


def arguments(node: Node, importer: Any) -> dict[str, Any]:
    """As `named`, with Relax expressions in the place of nodes."""
    found: dict[str, Any] = map_arg(named(node), lambda read: importer.env[read])
    return found


def value_of(node: Node) -> torch.Tensor:
    """Shape and data type of what a node computes, as a tensor without data."""
    value: torch.Tensor = node.meta["val"]
    return value


def shape_of(node: Node) -> list[int]:
    """Shape of what a node computes."""
    return [int(extent) for extent in value_of(node).shape]


def extents(value: relax.Expr) -> list[int]:
    """Shape of a Relax tensor."""
    return [int(extent) for extent in value.ty.shape]


def dtype_of(value: relax.Expr) -> str:
    """Data type of a Relax tensor."""
    return str(value.ty.dtype)


def type_name(dtype: torch.dtype) -> str:
    """TVM's name of a data type."""
    return str(dtype).removeprefix("torch.")


def reshaped(importer: Any, value: relax.Expr, shape: list[int]) -> relax.Expr:
    """`value` in another shape; itself where it has that shape."""
    return value if extents(value) == shape else importer.block_builder.emit(relax.op.reshape(value, shape))


def in_type(importer: Any, value: Any, dtype: str) -> relax.Expr:
    """A tensor, or a number, in a data type."""
    if not isinstance(value, relax.Expr):
        return relax.const(value, dtype)
    return value if dtype_of(value) == dtype else importer.block_builder.emit(relax.op.astype(value, dtype))
