"""The cost of a network: parameters, multiply-accumulates (MACs) and bytes, dense and nonzero alone.

A weight is a convolution's (out_channels, in_channels / groups, height, width), or a linear layer's
(out_features, in_features). Only weights count as sparse: what else a network has (biases, scales and shifts
of batch norm) is never pruned. What a format really stores is measured where the weights are packed, in the
layers' table. The definitions of compression ratio and expected speedup are those of the Deep Learning
Acceleration Stack (Gibson et al., arXiv:2311.08909).
"""

from __future__ import annotations

import copy
import math
from collections import Counter

import torch
from torch import nn

FLOAT32_BITS = 32


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


def parameters(model: nn.Module) -> int:
    """The number of trainable numbers: weights, biases, and scales and shifts of batch norm."""
    return sum(parameter.numel() for parameter in model.parameters())


def nonzero_parameters(model: nn.Module) -> int:
    """All parameters but those weights that are zero."""
    zeros = sum(_zeros(_weight(layer)) for layer in weight_layers(model).values())
    return parameters(model) - zeros


def macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """The multiply-accumulates that the network spends on one image (channels, height, width)."""
    return sum(macs_by_layer(model, image_shape).values())


def macs_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """The multiply-accumulates per image of each convolution and linear layer, in the order they run in.

    Every output value of a convolution costs (in_channels / groups) * kernel_height * kernel_width, that of a
    linear layer in_features (Molchanov et al., arXiv:1611.06440, appendix A.1): each weight is used once at
    every output position. Biases, batch norm, activations and pooling are not counted, as in the published
    counts of networks.
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


def expected_speedup(dense_macs: int, remaining_macs: int, bits: int) -> float:
    """Dense over remaining multiply-accumulates, times 32 / `bits` of the data type."""
    return dense_macs / remaining_macs * FLOAT32_BITS / bits


def dense_bytes(values: int, bits: int) -> int:
    """Bytes of so many `values` of `bits` bits each, stored one after the other."""
    return math.ceil(values * bits / 8)


def _positions_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Number of output positions at which each weight of a layer is used, by layer, in the order in which
    they run.

    Nothing is computed: a copy runs on torch's meta device.
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    positions: Counter[str] = Counter()
    for name, layer in weight_layers(shadow).items():
        layer.register_forward_hook(
            lambda layer, _, output, name=name: positions.update(
                {name: output.numel() // _weight(layer).shape[0]}
            )
        )
    with torch.inference_mode():
        shadow(torch.empty(1, *image_shape, device="meta"))
    return dict(positions)


def _weight(layer: nn.Module) -> torch.Tensor:
    return layer.get_parameter("weight")


def _nonzeros(weight: torch.Tensor) -> int:
    return int(torch.count_nonzero(weight))


def _zeros(weight: torch.Tensor) -> int:
    return weight.numel() - _nonzeros(weight)
