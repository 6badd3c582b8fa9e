"""Parameters and multiply-accumulates (MACs) of a network."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import nn


def parameters(model: nn.Module) -> int:
    """The number of trainable numbers: weights, biases, and scales and shifts of batch norm."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """The multiply-accumulates that the network spends on one image (channels, height, width)."""
    return sum(macs_by_layer(model, image_shape).values())


def macs_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """The multiply-accumulates per image of each convolution and linear layer, in the order they run in.

    Every output value of a convolution costs (in_channels / groups) * kernel_height * kernel_width, that of a
    linear layer in_features (Molchanov et al., arXiv:1611.06440, appendix A.1). Biases, batch norm,
    activations and pooling are not counted, as in the published counts of networks. Nothing is computed: a
    copy runs on torch's meta device.
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    counts: Counter[str] = Counter()
    for name, module in shadow.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda layer, _, output, name=name: counts.update({name: _layer_macs(layer, output)})
            )
    with torch.inference_mode():
        shadow(torch.empty(1, *image_shape, device="meta"))
    return dict(counts)


def _layer_macs(layer: nn.Module, output: torch.Tensor) -> int:
    """Each output value is the dot product of one filter (or row) of the weight with as many inputs."""
    weight = layer.get_parameter("weight")
    return output.numel() * weight[0].numel()
