"""MobileNet (Howard et al., arXiv:1704.04861) for 32x32 images: the first convolution has stride 1."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dlas.models.initialization import initialize

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Output channels and stride of the depthwise separable convolutions: the paper's table 1."""


def mobilenetv1(classes: int) -> nn.Module:
    """MobileNet: float32 N,3,32,32 to logits N,classes."""
    channels = 32
    features = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )
    for width, stride in BLOCKS:
        features.append(depthwise_separable(channels, width, stride))
        channels = width
    network = nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(channels, classes),
        )
    )
    initialize(network)
    return network


def depthwise_separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
