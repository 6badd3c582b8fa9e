"""DenseNet (Huang et al., arXiv:1608.06993) for 224x224 images. Parameter names follow torchvision's."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from dlas.models.initialization import initialize

BOTTLENECK = 4
"""Channels of the 1x1 convolution of a dense layer, over the growth rate."""


class DenseLayer(nn.Sequential):
    """Batch norm, ReLU, 1x1 convolution, batch norm, ReLU, 3x3 convolution; its output joins its input."""

    def __init__(self, in_channels: int, growth: int) -> None:
        width = BOTTLENECK * growth
        super().__init__(
            OrderedDict(
                norm1=nn.BatchNorm2d(in_channels),
                relu1=nn.ReLU(inplace=True),
                conv1=nn.Conv2d(in_channels, width, 1, bias=False),
                norm2=nn.BatchNorm2d(width),
                relu2=nn.ReLU(inplace=True),
                conv2=nn.Conv2d(width, growth, 3, padding=1, bias=False),
            )
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = inputs
        for layer in self:
            outputs = layer(outputs)
        return torch.cat([inputs, outputs], 1)


def transition(in_channels: int) -> nn.Sequential:
    """The layers between two dense blocks: half the channels, half the size."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(in_channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(in_channels, in_channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


def densenet(stem_channels: int, growth: int, depths: tuple[int, ...], classes: int) -> nn.Module:
    """The network: float32 N,3,224,224 to logits N,classes."""
    features: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, stem_channels, 7, stride=2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(stem_channels),
        relu0=nn.ReLU(inplace=True),
        pool0=nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = stem_channels
    for number, depth in enumerate(depths, start=1):
        if number > 1:
            features[f"transition{number - 1}"] = transition(channels)
            channels //= 2
        block: OrderedDict[str, nn.Module] = OrderedDict()
        for position in range(1, depth + 1):
            block[f"denselayer{position}"] = DenseLayer(channels, growth)
            channels += growth
        features[f"denseblock{number}"] = nn.Sequential(block)
    features["norm5"] = nn.BatchNorm2d(channels)
    features["relu5"] = nn.ReLU(inplace=True)
    network = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(features),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(channels, classes),
        )
    )
    initialize(network)
    return network


def densenet161(classes: int) -> nn.Module:
    """DenseNet-161, the paper's widest network: growth rate 48."""
    return densenet(96, 48, (6, 12, 36, 24), classes)
