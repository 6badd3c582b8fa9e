"""An int8 network as ExecuTorch takes it: int8 activations instead of uint8, and weights that are integers.

XNNPACK computes a layer in integers where its output is quantized as well. The others get weights in float32,
at the values that their integers stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, cast

import torch
from torch._ops import OpOverload
from torch.fx.node import map_arg

from dlas.hardware.sessions.shared.numbered import numbered
from dlas.models.graph.constants import QUANTIZATION
from dlas.models.graph.exporting import exported
from dlas.systems.compilers import exported_layers

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

BYTE = 128
"""Half of the values of a byte, by which uint8 and int8 differ."""


def is_quantized(program: ExportedProgram) -> bool:
    """Whether operators of the program quantize."""
    return any(
        isinstance(node.target, OpOverload) and node.target.namespace == QUANTIZATION
        for node in program.graph.nodes
    )


def made_signed(program: ExportedProgram, in_float: Collection[str]) -> ExportedProgram:
    """The same network with int8 activations and its weights stored as integers; as float32 those of which
    the names, by `integer_weights`, are among `in_float`."""
    quantized = torch.ops.quantized_decomposed
    module = program.module()
    graph = module.graph
    for operator in (quantized.quantize_per_tensor.default, quantized.dequantize_per_tensor.default):
        for node in graph.find_nodes(op="call_function", target=operator):
            _make_signed(node)
    weights = graph.find_nodes(op="call_function", target=quantized.quantize_per_channel.default)
    for number, quantize in enumerate(weights):
        name = f"integers_{number}"
        replaced = list(quantize.users) if name in in_float else [quantize]
        for node in replaced:
            _replace(module, node, name, _value(module, node))
    graph.eliminate_dead_code()
    module.recompile()
    (images,) = (node.meta["val"] for node in graph.find_nodes(op="placeholder"))
    return exported(module, torch.zeros(images.shape))


def integer_weights(program: ExportedProgram) -> set[str]:
    """Names of the weights that operators of the program itself, not of a part that is XNNPACK's, take for
    integers: ExecuTorch has none that does."""
    buffers = program.graph_signature.inputs_to_buffers
    return {
        buffers[node.all_input_nodes[0].name].rsplit(".", 1)[-1]
        for node in program.graph.nodes
        if node.op == "call_function" and "dequantize_per_channel" in str(node.target)
    }


def macs(program: ExportedProgram) -> dict[str, int]:
    """Multiply-accumulates of each layer, by its name: the data type that XNNPACK computes it in, and its
    number among those."""
    layers = exported_layers.of(program)
    names = numbered("int8" if _is_integer(layer) else "float32" for layer in layers)
    return dict(zip(names, map(exported_layers.macs, layers), strict=True))


def _is_integer(layer: Node) -> bool:
    """Whether the layer reads a weight that is stored as integers."""
    weight = cast("Node", layer.args[1])
    return weight.target is torch.ops.quantized_decomposed.dequantize_per_channel.default


def _make_signed(node: Node) -> None:
    """Give quantize or dequantize int8 for uint8, with all values and the zero point less by 128."""
    array, scale, *integers, dtype = node.args
    if dtype is torch.uint8:
        signed = (cast("int", each) - BYTE for each in integers)
        node.args = (array, scale, *signed, torch.int8)


def _value(module: GraphModule, node: Node) -> Any:
    """The tensor that a node computes from constants."""
    if node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        return getattr(module.get_submodule(owner), name)
    computed = cast("Callable[..., Any]", node.target)
    given: Any = map_arg(node.args, lambda read: _value(module, read))
    named: Any = map_arg(node.kwargs, lambda read: _value(module, read))
    return computed(*given, **named)


def _replace(module: GraphModule, node: Node, name: str, value: torch.Tensor) -> None:
    """Put a buffer in the node's place."""
    module.register_buffer(name, value.detach())
    with module.graph.inserting_before(node):
        stored = module.graph.get_attr(name)
    node.replace_all_uses_with(stored)
