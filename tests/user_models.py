"""A model of a user's own: small enough to train and build in seconds."""

from __future__ import annotations

from torch import nn


def two_layers(classes: int) -> nn.Module:
    """Two 3x3 convolutions, pooling, one linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, classes),
    )
