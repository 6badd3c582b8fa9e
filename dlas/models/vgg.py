"""VGG (Simonyan and Zisserman, arXiv:1409.1556) with batch norm, for 32x32 images.

The head is the usual one for CIFAR-10: after five poolings a single pixel is left, and one linear layer
classifies it. Parameter names of the features follow torchvision's `vgg16_bn`.
"""

from __future__ import annotations

import torch
from torch import nn

from dlas.models.initialization import initialize

STAGES_16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the convolutions between two poolings: configuration D of the paper's table 1."""


class VGG(nn.Module):
    """float32 N,3,32,32 to logits N,classes."""

    def __init__(self, stages: tuple[tuple[int, ...], ...], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for widths in stages:
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)
        initialize(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return logits


def vgg16(classes: int) -> nn.Module:
    """VGG-16: 13 convolutions and one linear layer."""
    return VGG(STAGES_16, classes)
