"""The cost of a network: parameters, multiply-accumulates (MACs) and bytes, dense and nonzero alone.

A weight is a convolution's (out_channels, in_channels / groups, height, width), in one, two or three
dimensions, a transposed convolution's (in_channels, out_channels / groups, height, width), or a linear
layer's (out_features, in_features). Products that are made otherwise have no MACs here: those of recurrent
layers, of nn.MultiheadAttention, of functions that a forward calls. Only weights count as sparse: what else a
network has (biases, scales and shifts of batch norm) is never pruned. What a format really stores is measured
where the weights are packed, in the layers' table. The compression ratio is that of the Deep Learning
Acceleration Stack (Gibson et al., arXiv:2311.08909).
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from dlas.models.layer_kinds import TRANSPOSED, WEIGHT_LAYERS


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, WEIGHT_LAYERS)}


def parameters(model: nn.Module) -> int:
    """The number of trainable numbers: weights, biases, and scales and shifts of batch norm."""
    return sum(parameter.numel() for parameter in model.parameters())


def nonzero_parameters(model: nn.Module) -> int:
    """All parameters but those weights that are zero; a weight that layers share is one."""
    weights = {weight for layer in weight_layers(model).values() if (weight := own_weight(layer)) is not None}
    return parameters(model) - sum(weight.numel() - _nonzeros(weight) for weight in weights)


def own_weight(layer: nn.Module) -> nn.Parameter | None:
    """The weight of a layer that has it as a parameter; None where it is computed, by weight norm say."""
    weight = layer.weight
    return weight if isinstance(weight, nn.Parameter) else None


def macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """The multiply-accumulates that the network spends on one image (channels, height, width)."""
    return sum(macs_by_layer(model, image_shape).values())


def macs_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """The multiply-accumulates per image of each convolution and linear layer, in the order they run in.

    Every output value of a convolution costs (in_channels / groups) * kernel_height * kernel_width, that of a
    linear layer in_features (Molchanov et al., arXiv:1611.06440, appendix A.1): each weight is used once at
    every output position, that of a transposed convolution at every input position. A layer that is called
    twice costs twice. Biases, batch norm, activations and pooling are not counted, as in the published counts
    of networks.
    """
    positions = _positions_by_layer(model, image_shape)
    return {name: uses * _weight(model.get_submodule(name)).numel() for name, uses in positions.items()}


def remaining_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """The multiply-accumulates per image of the weights that are not zero."""
    positions = _positions_by_layer(model, image_shape)
    return sum(uses * _nonzeros(_weight(model.get_submodule(name))) for name, uses in positions.items())


def compression_ratio(dense_parameters: int, remaining_parameters: int) -> float:
    """Dense parameters over remaining ones: those that were not removed and are not zero."""
    return dense_parameters / remaining_parameters


def dense_bytes(values: int, bits: int) -> int:
    """Bytes of so many `values` of `bits` bits each, stored one after the other."""
    return math.ceil(values * bits / 8)


def _positions_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Number of positions at which each weight of a layer is used, by layer, in the order in which they run.

    A copy runs on a blank image, on the device and in the data type of its parameters.
    """
    shadow = copy.deepcopy(model).eval()
    positions: Counter[str] = Counter()
    for name, layer in weight_layers(shadow).items():
        layer.register_forward_hook(_counting(name, positions), with_kwargs=True)
    like = next(shadow.parameters(), torch.empty(0))
    with torch.inference_mode():
        shadow(like.new_zeros(1, *image_shape))
    return dict(positions)


def _counting(name: str, positions: Counter[str]) -> Callable[..., None]:
    def count(
        layer: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any], output: torch.Tensor
    ) -> None:
        at = next(iter((*given, *named.values()))) if isinstance(layer, TRANSPOSED) else output
        positions[name] += at.numel() // _weight(layer).shape[0]

    return count


def _weight(layer: nn.Module) -> torch.Tensor:
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight


def _nonzeros(weight: torch.Tensor) -> int:
    return int(torch.count_nonzero(weight))
