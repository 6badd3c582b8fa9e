"""Random weights of an untrained convolutional network."""

from __future__ import annotations

from torch import nn


def initialize(network: nn.Module) -> None:
    """Draw the weights in place: He et al. (arXiv:1502.01852) by fan-out for convolutions, N(0, 0.01) for the
    linear layers (as torchvision's networks do); biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
