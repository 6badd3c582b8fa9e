"""ResNet (He et al., arXiv:1512.03385) for 32x32 and 224x224 images.

Parameter names follow torchvision's. The networks for 32x32 images begin with one 3x3 convolution and do not
pool before the first stage.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from dlas.models.initialization import initialize


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(in_channels, width, stride)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.relu(self.bn1(self.conv1(inputs)))
        outputs = self.bn2(self.conv2(outputs))
        shortcut = inputs if self.downsample is None else self.downsample(inputs)
        activated: torch.Tensor = self.relu(outputs + shortcut)
        return activated


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 one has the stride, as in torchvision."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, out_channels, stride)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.relu(self.bn1(self.conv1(inputs)))
        outputs = self.relu(self.bn2(self.conv2(outputs)))
        outputs = self.bn3(self.conv3(outputs))
        shortcut = inputs if self.downsample is None else self.downsample(inputs)
        activated: torch.Tensor = self.relu(outputs + shortcut)
        return activated


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The shortcut's 1x1 convolution, where the block changes the shape."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def small_image_stem(width: int) -> OrderedDict[str, nn.Module]:
    """One 3x3 convolution, N,3,H,W to N,width,H,W."""
    return OrderedDict(
        conv1=nn.Conv2d(3, width, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(inplace=True),
    )


def large_image_stem(width: int) -> OrderedDict[str, nn.Module]:
    """A 7x7 convolution and a pooling, N,3,H,W to N,width,H/4,W/4."""
    return OrderedDict(
        conv1=nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )


def resnet(
    stem: OrderedDict[str, nn.Module],
    block: type[BasicBlock] | type[Bottleneck],
    width: int,
    depths: tuple[int, ...],
    classes: int,
) -> nn.Module:
    """The network: the stem (to `width` channels), one stage per depth, each twice as wide as the one before,
    and a linear layer over the mean of all pixels."""
    layers = OrderedDict(stem)
    channels = width
    for position, depth in enumerate(depths):
        stage_width = width * 2**position
        stage = nn.Sequential()
        for block_position in range(depth):
            stride = 2 if position > 0 and block_position == 0 else 1
            stage.append(block(channels, stage_width, stride))
            channels = stage_width * block.expansion
        layers[f"layer{position + 1}"] = stage
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, classes)
    network = nn.Sequential(layers)
    initialize(network)
    return network


def resnet18(classes: int) -> nn.Module:
    """ResNet-18 for small images: float32 N,3,32,32 to logits, 17 convolutions, 3 projections, 1 linear."""
    return resnet(small_image_stem(64), BasicBlock, 64, (2, 2, 2, 2), classes)


def resnet20(classes: int) -> nn.Module:
    """ResNet-20, float32 N,3,32,32 to logits: section 4.2 of the paper with n = 3, but projections."""
    return resnet(small_image_stem(16), BasicBlock, 16, (3, 3, 3), classes)


def resnet50(classes: int) -> nn.Module:
    """ResNet-50: float32 N,3,224,224 to logits N,classes."""
    return resnet(large_image_stem(64), Bottleneck, 64, (3, 4, 6, 3), classes)
