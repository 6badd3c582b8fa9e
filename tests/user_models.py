"""Models of a user's own: small enough to train and build in seconds."""

from __future__ import annotations

import torch
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


def large_head(classes: int) -> nn.Module:
    """One linear layer of 8 MB, on one strided convolution: larger than a new store of runs."""
    return nn.Sequential(
        nn.Conv2d(3, 512, 3, stride=16, bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2048, 1024),
        nn.ReLU(),
        nn.Linear(1024, classes),
    )


class Residual(nn.Module):
    """A 3x3, a depthwise 3x3 and a 1x1 convolution beside a shortcut, pooling, one linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.branch = nn.Sequential(
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(),
            nn.Conv2d(32, 32, 1, bias=False),
            nn.BatchNorm2d(32),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2, bias=False), nn.BatchNorm2d(32))
        self.classifier = nn.Linear(32, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self.stem(images)
        outputs = torch.relu(self.branch(outputs) + self.shortcut(outputs))
        logits: torch.Tensor = self.classifier(outputs.mean((2, 3)))
        return logits


def residual(classes: int) -> nn.Module:
    return Residual(classes)


class Drowned(nn.Module):
    """Two branches side by side, one of them a thousand times as loud; the weights behind make up for it. A
    third one gives what is the same for every image."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.loud, self.quiet, self.dead = (nn.Conv2d(3, 8, 3) for _ in range(3))
        self.mixed = nn.Conv2d(24, 8, 3)
        self.last = nn.Linear(8, classes)
        with torch.no_grad():
            self.loud.weight *= 1000
            self.mixed.weight[:, :8] /= 1000
            self.dead.weight[:] = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        branches = torch.cat([self.loud(images), self.quiet(images), self.dead(images)], 1)
        logits: torch.Tensor = self.last(self.mixed(branches.relu()).relu().mean((2, 3)))
        return logits


def drowned(classes: int) -> nn.Module:
    """Int8 hears one of its branches alone."""
    return Drowned(classes)


class Bent(nn.Module):
    """The inverse of the error function, which ONNX does not have, nor any runtime for small machines."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.erfinv(images.tanh() * 0.9)


class Unusual(nn.Module):
    """A convolution, a layer with an odd operator, a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem, self.bent = nn.Conv2d(3, 8, 3, stride=2), Bent()
        self.last = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.bent(self.stem(images)).mean((2, 3)))
        return logits


def unusual(classes: int) -> nn.Module:
    """One that PyTorch alone can run."""
    return Unusual(classes)


class Floored(nn.Module):
    """A convolution, a division that is rounded down, a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last((self.stem(images) // 0.5).mean((2, 3)))
        return logits


def floored(classes: int) -> nn.Module:
    """One that PyTorch's export to ONNX gets wrong: it divides without rounding."""
    return Floored(classes)
