"""The layers of an exported program: calls of convolutions and linear layers, each with its own weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from dlas.models.graph import state

CONVOLUTIONS = frozenset(
    f"aten.conv{kind}" for kind in ("1d.default", "1d.padding", "2d.default", "2d.padding")
)
LINEAR = "aten.linear.default"
OTHERS = frozenset(
    {"aten.convolution.default", "aten.conv_transpose1d.default", "aten.conv_transpose2d.input"}
)

WEIGHT, BIAS = 1, 2
"""Places of the operands in a layer's call."""


@dataclass(frozen=True)
class Weights:
    """The operands of a layer besides its input."""

    weight: torch.Tensor
    bias: torch.Tensor | None


def layers(program: ExportedProgram) -> dict[Node, Weights]:
    """The calls of layers whose weight and bias depend on no image, in the order in which they run."""
    values = state.tensors(program)
    found = {}
    for node in program.graph.nodes:
        if str(node.target) in {*CONVOLUTIONS, LINEAR, *OTHERS}:
            weight, bias = _operands(node)
            if weight is not None and weight in values and (bias is None or bias in values):
                found[node] = Weights(values[weight], None if bias is None else values[bias])
    return found


def give_own_weights(program: ExportedProgram, changed: Mapping[Node, Weights]) -> None:
    """Give every layer a weight and a bias that nothing else reads: those in `changed`, or else its own.

    They are parameters named after the layer: `features.3.weight`, at the second call of the layer
    `features.3.call2.weight`.
    """
    calls, parameters = layers(program), state.names(program)
    taken = {
        _owner(name) for node, name in parameters.items() if any(user not in calls for user in node.users)
    }
    names = {
        node: name
        for node in calls
        if (name := _own_name(node, parameters)) is not None and name not in taken
    }
    taken.update(names.values())
    new: dict[Node, str] = {}
    for node in calls:
        name = names.get(node) or _free(path(node) or "network", taken)
        taken.add(name)
        if node in changed or not _has_own(node, parameters):
            new[node] = name
    for node, name in new.items():
        weights = changed.get(node, calls[node])
        own = [state.add_parameter(program, f"{name}.weight", weights.weight)]
        if weights.bias is not None:
            own.append(state.add_parameter(program, f"{name}.bias", weights.bias))
        node.args = (node.args[0], own[0], own[1] if len(own) > 1 else None, *node.args[BIAS + 1 :])
        node.kwargs = {key: value for key, value in node.kwargs.items() if key not in ("weight", "bias")}
    state.drop_unused(program)


def path(node: Node) -> str:
    """The module of the user's that computes the node, such as `features.3`; "" for the network itself."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    innermost, _ = list(stack.values())[-1]
    return str(innermost)


def _operands(node: Node) -> tuple[Node | None, Node | None]:
    """The weight and the bias of a layer's call."""
    given = {**dict(zip(("weight", "bias"), node.args[WEIGHT:], strict=False)), **node.kwargs}
    weight, bias = given.get("weight"), given.get("bias")
    return weight if isinstance(weight, Node) else None, bias if isinstance(bias, Node) else None


def _has_own(node: Node, parameters: Mapping[Node, str]) -> bool:
    return all(len(each.users) == 1 and each in parameters for each in _operands(node) if each is not None)


def _own_name(node: Node, parameters: Mapping[Node, str]) -> str | None:
    """Name of the layer whose weight this call alone reads; None where others read it."""
    weight, _ = _operands(node)
    if weight is not None and weight in parameters and len(weight.users) == 1:
        return _layer(parameters[weight])
    return None


def _layer(parameter: str) -> str:
    return parameter.removesuffix(".weight")


def _owner(parameter: str) -> str:
    """Name of the layer that the parameter may be the weight or the bias of."""
    return _layer(parameter) if parameter.endswith(".weight") else parameter.removesuffix(".bias")


def _free(name: str, taken: set[str]) -> str:
    names = (name if call == 1 else f"{name}.call{call}" for call in count(1))
    return next(each for each in names if each not in taken)
