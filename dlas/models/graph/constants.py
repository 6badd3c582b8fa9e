"""What a network computes from its weights alone: computed beforehand, for it is the same for every image."""

from __future__ import annotations

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
    for node in program.graph.nodes:
        if _is_constant(node, values):
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
    operator = node.target
    return (
        isinstance(operator, OpOverload)
        and operator.namespace != QUANTIZATION
        and torch.Tag.nondeterministic_seeded not in operator.tags
        and all(read in values for read in node.all_input_nodes)
    )


def _known(arguments: Any, values: Mapping[Node, Any]) -> Any:
    return map_arg(arguments, lambda node: values[node])
