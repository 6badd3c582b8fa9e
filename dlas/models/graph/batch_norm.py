"""Batch norm as part of the layer before it: in eval mode both are linear."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dlas.models.graph import state
from dlas.models.graph.layers import CONVOLUTIONS, LINEAR, Weights, give_own_weights, layers

CHANNELS = 1
"""The dimension of an activation that batch norm treats one by one."""


def fold_batch_norm(program: ExportedProgram) -> None:
    """Leave no batch norm that is in eval mode, and give every layer its own weight (`give_own_weights`).

    A batch norm that alone reads a call of a convolution or linear layer becomes part of the weight and bias
    of this call (Jacob et al., arXiv:1712.05877, section 3.2); any other becomes a multiplication and an
    addition per channel.
    """
    values, calls = state.tensors(program), layers(program)
    folded: dict[Node, Weights] = {}
    for node in program.graph.find_nodes(op="call_function", target=torch.ops.aten.batch_norm.default):
        source, *scaling, training, _, epsilon, _ = node.args
        if training or any(each is not None and each not in values for each in scaling):
            continue
        norm = [None if each is None else values[each].float() for each in scaling]
        if source in calls and _is_foldable(source):
            folded[source] = _folded(calls[source], norm, epsilon)
            node.replace_all_uses_with(source)
        else:
            _replace(program, node, _folded(_identity(norm), norm, epsilon))
    give_own_weights(program, folded)


def _is_foldable(layer: Node) -> bool:
    """Whether nothing but the batch norm reads the layer, and its channels are the batch norm's."""
    kind = str(layer.target)
    in_place = kind in CONVOLUTIONS or (kind == LINEAR and layer.meta["val"].dim() == CHANNELS + 1)
    return in_place and len(layer.users) == 1


def _folded(layer: Weights, norm: list[torch.Tensor | None], epsilon: float) -> Weights:
    """The layer and its batch norm (scale, shift, mean, variance) as one, computed in float32."""
    scale, shift, mean, variance = norm
    assert mean is not None
    assert variance is not None
    bias = None if layer.bias is None else layer.bias.float()
    fused = fuse_conv_bn_weights(layer.weight.float(), bias, mean, variance, epsilon, scale, shift)
    weight, bias = (each.detach().to(layer.weight.dtype) for each in fused)
    return Weights(weight, bias)


def _replace(program: ExportedProgram, norm: Node, affine: Weights) -> None:
    """Compute `x * weight + bias` per channel in the place of the batch norm: in float32 in a float16 network
    too, as PyTorch does, since either may be larger than float16's largest number."""
    shape = [1, -1] + [1] * (norm.meta["val"].dim() - CHANNELS - 1)
    result = _in_type(program, norm, norm.all_input_nodes[0], torch.float32)
    steps: list[tuple[str, Callable[..., torch.Tensor], torch.Tensor | None]] = [
        ("scale", torch.ops.aten.mul.Tensor, affine.weight),
        ("shift", torch.ops.aten.add.Tensor, affine.bias),
    ]
    for name, operator, operand in steps:
        assert operand is not None
        constant = state.add_buffer(program, f"{norm.name}.{name}", operand.reshape(shape))
        with program.graph.inserting_before(norm):
            result = program.graph.call_function(operator, (result, constant))
        result.meta = {**norm.meta, "val": norm.meta["val"].float()}
    norm.replace_all_uses_with(_in_type(program, norm, result, norm.meta["val"].dtype))


def _in_type(program: ExportedProgram, before: Node, value: Node, dtype: torch.dtype) -> Node:
    """The value in that data type, converted before the node `before` where it has another."""
    if value.meta["val"].dtype == dtype:
        return value
    with program.graph.inserting_before(before):
        converted: Node = program.graph.call_function(torch.ops.aten.to.dtype, (value, dtype))
    converted.meta = {**value.meta, "val": value.meta["val"].to(dtype)}
    return converted


def _identity(norm: list[torch.Tensor | None]) -> Weights:
    mean = norm[2]
    assert mean is not None
    return Weights(torch.ones_like(mean).reshape(-1, 1), None)
