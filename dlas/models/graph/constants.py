"""What a network computes from its weights alone: computed beforehand, for it is the same for every image."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import map_arg

from dlas.models.graph import state

QUANTIZATION = "quantized_decomposed"
"""Namespace of the operators that quantize. They stay, since a kernel's integers are made of them."""


def compute_constants(program: ExportedProgram) -> None:
    """Put a buffer in the place of each tensor that depends on no image, such as a normalized weight or the
    positions of tokens."""
    given = state.tensors(program)
    values: dict[Node, Any] = dict(given)
    varying = _varying(program)
    for node in program.graph.nodes:
        if node not in varying and _is_constant(node, values):
            with torch.no_grad():
                values[node] = node.target(*_known(node.args, values), **_known(node.kwargs, values))
    for node, value in values.items():
        readers = [user for user in node.users if user not in values]
        if node not in given and readers and isinstance(value, torch.Tensor):
            constant = state.add_buffer(program, f"constant.value_{node.name}", value.contiguous())
            for reader in readers:
                reader.replace_input_with(node, constant)
    state.drop_unused(program)


def _is_constant(node: Node, values: Mapping[Node, Any]) -> bool:
    computed = node.target
    return (
        isinstance(computed, OpOverload)
        and computed.namespace != QUANTIZATION
        and torch.Tag.nondeterministic_seeded not in computed.tags
        and all(read in values for read in node.all_input_nodes)
    )


def _varying(program: ExportedProgram) -> set[Node]:
    """The nodes whose tensors are not the same for every image: those that depend on one, and those that are
    written into with what does, such as zeros that branches are added to. Buffers of the network that it
    writes into are among them."""
    given = state.tensors(program)
    placeholders = program.graph.find_nodes(op="placeholder")
    found = {node for node in placeholders if node not in given}
    known = -1
    while known < len(found):  # a view may have been made before its tensor was written into
        known = len(found)
        for node in program.graph.nodes:
            if not found.isdisjoint(node.all_input_nodes):
                found.add(node)
            if _writes(node):
                tensors = _views(node)
                if node in found or tensors[-1] in given:
                    found.update(tensors)
    return found


def _writes(node: Node) -> bool:
    mutable = isinstance(node.target, OpOverload) and node.target._schema.is_mutable
    return mutable and node.target is not torch.ops.aten.detach_.default


def _views(node: Node) -> list[Node]:
    """The node and what it is a view of, back to where the tensor was made."""
    found = [node]
    while _is_view(found[-1]):
        found.append(found[-1].all_input_nodes[0])
    return found


def _is_view(node: Node) -> bool:
    if not isinstance(node.target, OpOverload):
        return node.target is operator.getitem  # of the parts of a tensor
    return any(each.alias_info is not None for each in node.target._schema.returns)


def _known(arguments: Any, values: Mapping[Node, Any]) -> Any:
    return map_arg(arguments, lambda node: values[node])
