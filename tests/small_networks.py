"""Small networks with one of everything."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

IMAGE = (1, 3, 12, 12)
"""Of `Residual`."""

OPERATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "max pooling with a border": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "max pooling": lambda x: functional.max_pool2d(x, 2),
    "average pooling": lambda x: functional.avg_pool2d(x, 2),
    "overlapping average pooling": lambda x: functional.avg_pool2d(x, 3, 1, 1),
    "global average pooling": lambda x: x.mean((2, 3), keepdim=True),
    "element-wise chain": lambda x: functional.relu6(x * 0.5 + 1) + x.sigmoid(),
    "concatenation": lambda x: torch.cat([x, functional.relu(x), x + 1], 1),
    "softmax": lambda x: x.mean((2, 3)).softmax(1)[:, :, None, None],
    "pooling windows of several sizes": lambda x: functional.adaptive_avg_pool2d(x, 7),
    "normalization over a whole image": lambda x: functional.layer_norm(x, x.shape[1:]),
    "mean of everything": lambda x: x - x.mean(),
}


class Residual(nn.Module):
    """Every epilogue: bias, batch norm, a residual from either side, a shared output, no activation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(16, 32, 1, stride=2)
        self.down = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.shared = nn.Conv2d(32, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.classifier = nn.Linear(32, 5)
        nn.init.uniform_(self.norm.running_mean, -1, 1)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.stem(image))
        block = torch.relu(stem + self.second(torch.relu(self.norm(self.first(stem)))))
        joined = torch.relu(self.down(block) + self.shortcut(block))
        shared = self.shared(joined)
        mixed = self.depthwise(torch.relu(shared)) + torch.sigmoid(shared)
        pooled = nn.functional.adaptive_avg_pool2d(nn.functional.max_pool2d(mixed, 2), 1)
        return self.classifier(pooled.flatten(1))


class EveryOperator(nn.Module):
    """Each operator between two convolutions, what comes out side by side."""

    def __init__(self) -> None:
        super().__init__()
        channels = 24
        probe = torch.zeros(1, channels, 8, 8)
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.last = nn.ModuleList(
            nn.Conv2d(operator(probe).shape[1], 10, 1) for operator in OPERATORS.values()
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        found = [last(operator(x)) for last, operator in zip(self.last, OPERATORS.values(), strict=True)]
        return torch.cat([each.flatten(1) for each in found], 1)
