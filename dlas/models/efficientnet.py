"""EfficientNet-B0 (Tan and Le, arXiv:1905.11946) for 224x224 images. Parameter names follow torchvision's.

Stochastic depth, which acts in training only and has no parameters, is left out.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from dlas.models.initialization import initialize

STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
"""Expansion, output channels, blocks, stride of the first block, kernel size: the paper's table 1."""
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
SQUEEZE = 4
"""Channels of a block's input over those of its squeeze-and-excitation."""


class SqueezeExcitation(nn.Module):
    """A number from 0 to 1 for each channel, from the means of all channels, by which the channel is scaled
    (arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU(inplace=True)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = nn.Sigmoid()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        squeezed = self.activation(self.fc1(self.avgpool(inputs)))
        scale: torch.Tensor = self.scale_activation(self.fc2(squeezed))
        return inputs * scale


class MBConv(nn.Module):
    """A block: 1x1 up, depthwise, squeeze-and-excitation, 1x1 down, and a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(convolution(in_channels, width, 1))
        layers += [
            convolution(width, width, kernel, stride=stride, groups=width),
            SqueezeExcitation(width, in_channels // SQUEEZE),
            nn.Sequential(nn.Conv2d(width, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)),
        ]
        self.block = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.block(inputs)
        return inputs + outputs if self.has_shortcut else outputs


def convolution(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution that keeps the image's size (over the stride), batch norm, SiLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.SiLU(inplace=True),
    )


def efficientnet_b0(classes: int) -> nn.Module:
    """EfficientNet-B0: float32 N,3,224,224 to logits N,classes."""
    features = nn.Sequential(convolution(3, STEM_CHANNELS, 3, stride=2))
    channels = STEM_CHANNELS
    for expansion, width, depth, first_stride, kernel in STAGES:
        stage = nn.Sequential()
        for position in range(depth):
            stride = first_stride if position == 0 else 1
            stage.append(MBConv(channels, width, stride, expansion, kernel))
            channels = width
        features.append(stage)
    features.append(convolution(channels, HEAD_CHANNELS, 1))
    network = nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(nn.Dropout(0.2), nn.Linear(HEAD_CHANNELS, classes)),
        )
    )
    initialize(network)
    return network
