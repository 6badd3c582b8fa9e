"""ResNet (He et al., arXiv:1512.03385), for 32x32 images: the first convolution is 3x3 and nothing is pooled.

Parameter names follow torchvision's.
"""

from __future__ import annotations

import torch
from torch import nn

from dlas.models.initialization import initialize


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = projection(in_channels, channels, stride)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.relu(self.bn1(self.conv1(inputs)))
        outputs = self.bn2(self.conv2(outputs))
        shortcut = inputs if self.downsample is None else self.downsample(inputs)
        activated: torch.Tensor = self.relu(outputs + shortcut)
        return activated


def projection(in_channels: int, channels: int, stride: int) -> nn.Module | None:
    """The shortcut's 1x1 convolution, where the block changes the shape."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False),
        nn.BatchNorm2d(channels),
    )


class ResNet(nn.Module):
    """float32 N,3,32,32 to logits N,classes."""

    def __init__(self, depths: tuple[int, int, int, int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stage(64, 64, depths[0], stride=1)
        self.layer2 = stage(64, 128, depths[1], stride=2)
        self.layer3 = stage(128, 256, depths[2], stride=2)
        self.layer4 = stage(256, 512, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)
        initialize(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(features), 1))
        return logits


def stage(in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    """`depth` blocks, the first of which changes channels and resolution."""
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, stride=1) for _ in range(depth - 1)))


def resnet18(classes: int) -> nn.Module:
    """17 convolutions, 3 projections and one linear layer."""
    return ResNet((2, 2, 2, 2), classes)
