"""MobileNetV2 (Sandler et al., arXiv:1801.04381) for 32x32 and 224x224 images.

Parameter names follow torchvision's. The network for 32x32 images is the one whose counts are usually given
for CIFAR-10 (2.30 M parameters, 91 M MACs): the first convolution and the second stage have stride 1, the
first block has a 1x1 convolution up too, every block of stride 1 has a shortcut, and the activation is ReLU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from dlas.models.initialization import initialize

STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, output channels, blocks, stride of the first block: the paper's table 2."""
SMALL_IMAGE_STRIDES = (1, 1, 2, 2, 1, 2, 1)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


class InvertedResidual(nn.Module):
    """A block: 1x1 up, depthwise and 1x1 down, beside a shortcut where there is one."""

    def __init__(self, conv: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv = conv
        self.shortcut = shortcut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.conv(inputs)
        return outputs if self.shortcut is None else outputs + self.shortcut(inputs)


Block = Callable[[int, int, int, int], InvertedResidual]
"""Makes a block from its in_channels, out_channels, stride and expansion."""


def small_image_block(in_channels: int, out_channels: int, stride: int, expansion: int) -> InvertedResidual:
    """A block of the network for 32x32 images: with an expansion and, where the size stays, a shortcut, which
    is a projection where the channels change."""
    width = in_channels * expansion
    conv = nn.Sequential(
        convolution(in_channels, width, 1, nn.ReLU),
        convolution(width, width, 3, nn.ReLU, stride=stride, groups=width),
        *linear_convolution(width, out_channels),
    )
    if stride != 1:
        return InvertedResidual(conv, None)
    if in_channels == out_channels:
        return InvertedResidual(conv, nn.Identity())
    return InvertedResidual(conv, linear_convolution(in_channels, out_channels))


def paper_block(in_channels: int, out_channels: int, stride: int, expansion: int) -> InvertedResidual:
    """A block as in the paper: an expansion where it is more than 1, a shortcut where the shape stays."""
    width = in_channels * expansion
    up = [convolution(in_channels, width, 1, nn.ReLU6)] if expansion != 1 else []
    conv = nn.Sequential(
        *up,
        convolution(width, width, 3, nn.ReLU6, stride=stride, groups=width),
        *linear_convolution(width, out_channels),
    )
    same_shape = stride == 1 and in_channels == out_channels
    return InvertedResidual(conv, nn.Identity() if same_shape else None)


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    activation: type[nn.Module],
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution that keeps the image's size (over the stride), batch norm, activation."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        activation(),
    )


def linear_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """1x1 convolution and batch norm, without activation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))


def network(
    stem: nn.Module, block: Block, strides: tuple[int, ...], head: nn.Module, top: nn.Module
) -> nn.Module:
    """The network: the stem, the blocks of all stages (the first block of a stage with the stage's stride),
    the head, the mean of all pixels, and on top the classifier."""
    features = nn.Sequential(stem)
    channels = STEM_CHANNELS
    for (expansion, width, depth, _), first_stride in zip(STAGES, strides, strict=True):
        for position in range(depth):
            features.append(block(channels, width, first_stride if position == 0 else 1, expansion))
            channels = width
    features.append(head)
    layers = OrderedDict(
        features=features, avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), classifier=top
    )
    whole = nn.Sequential(layers)
    initialize(whole)
    return whole


def mobilenetv2(classes: int) -> nn.Module:
    """MobileNetV2 for small images: float32 N,3,32,32 to logits N,classes."""
    return network(
        convolution(3, STEM_CHANNELS, 3, nn.ReLU),
        small_image_block,
        SMALL_IMAGE_STRIDES,
        convolution(STAGES[-1][1], HEAD_CHANNELS, 1, nn.ReLU),
        nn.Linear(HEAD_CHANNELS, classes),
    )


def mobilenetv2_imagenet(classes: int) -> nn.Module:
    """MobileNetV2 for ImageNet: float32 N,3,224,224 to logits N,classes."""
    return network(
        convolution(3, STEM_CHANNELS, 3, nn.ReLU6, stride=2),
        paper_block,
        tuple(stride for *_, stride in STAGES),
        convolution(STAGES[-1][1], HEAD_CHANNELS, 1, nn.ReLU6),
        nn.Sequential(nn.Dropout(0.2), nn.Linear(HEAD_CHANNELS, classes)),
    )
