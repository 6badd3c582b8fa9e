"""Networks of a user's own that cannot be right: a factory each, of the kind that its name tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    """A convolution, a nested one, pooling, one linear layer: sound by itself."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())])
        self.head = nn.Linear(8, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.blocks[0](self.stem(images))
        return x.mean((2, 3))

    def forward(self, images: torch.Tensor) -> Any:
        return self.head(self.features(images))


sound = Network


def without_classes() -> nn.Module:
    return Network(10)


def nothing(classes: int) -> None:
    pass


def weights_alone(classes: int) -> dict[str, torch.Tensor]:
    return Network(classes).state_dict()


def lost_file(classes: int) -> nn.Module:
    Path("/nowhere/weights.pth").read_bytes()
    return Network(classes)


def lazy(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


class _Uncopied(Network):
    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.kept = self.head(torch.ones(1, 8))


def uncopied(classes: int) -> nn.Module:
    return _Uncopied(classes)


class _TwoInputs(Network):
    def forward(self, images: torch.Tensor, scalars: torch.Tensor) -> Any:  # type: ignore[override]
        return self.head(self.features(images) + scalars)


def two_inputs(classes: int) -> nn.Module:
    return _TwoInputs(classes)


def too_few_channels(classes: int) -> nn.Module:
    network = Network(classes)
    network.blocks[0].append(nn.Conv2d(4, 8, 1))
    return network


class _OwnMistake(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return self.head(self.features(images)) + self.bias


def own_mistake(classes: int) -> nn.Module:
    return _OwnMistake(classes)


class _OneImage(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return self.head(self.features(images).squeeze())


def one_image(classes: int) -> nn.Module:
    return _OneImage(classes)


class _Named(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return {"logits": super().forward(images)}


def named(classes: int) -> nn.Module:
    return _Named(classes)


class _Two(Network):
    def forward(self, images: torch.Tensor) -> Any:
        features = self.features(images)
        return self.head(features), features


def two(classes: int) -> nn.Module:
    return _Two(classes)


class _OtherWhenTrained(Network):
    def forward(self, images: torch.Tensor) -> Any:
        answers = super().forward(images)
        return (answers, answers) if self.training else answers


def other_when_trained(classes: int) -> nn.Module:
    return _OtherWhenTrained(classes)


def unflattened(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, classes, 3, 2, 1), nn.AdaptiveAvgPool2d(1))


def pixels(classes: int) -> nn.Module:
    return nn.Conv2d(3, classes, 1)


def other_classes(classes: int) -> nn.Module:
    return Network(7)


class _Choice(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return super().forward(images).argmax(1)


def choice(classes: int) -> nn.Module:
    return _Choice(classes)


class _Double(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return super().forward(images).double()


def double(classes: int) -> nn.Module:
    return _Double(classes)


class _Chance(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return self.head(functional.dropout(self.features(images), 0.5))


def chance(classes: int) -> nn.Module:
    return _Chance(classes)


class _Dropping(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, 0.5, inplace=True)


def chance_in_a_layer(classes: int) -> nn.Module:
    network = Network(classes)
    network.blocks[0].append(_Dropping())
    return network


class _Logarithm(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return super().forward(images.log())


def logarithm(classes: int) -> nn.Module:
    return _Logarithm(classes)


def broken_weights(classes: int) -> nn.Module:
    network = Network(classes)
    nn.init.constant_(network.blocks[0][0].weight, torch.nan)
    return network


def batch_statistics(classes: int) -> nn.Module:
    network = Network(classes)
    network.blocks[0].append(nn.BatchNorm2d(8, track_running_stats=False))
    return network


class _Overwriting(Network):
    def forward(self, images: torch.Tensor) -> Any:
        return super().forward(images.mul_(2))


def overwriting(classes: int) -> nn.Module:
    return _Overwriting(classes)


def frozen(classes: int) -> nn.Module:
    return Network(classes).requires_grad_(False)


class _Untraced(Network):
    def forward(self, images: torch.Tensor) -> Any:
        with torch.no_grad():
            return super().forward(images)


def untraced(classes: int) -> nn.Module:
    return _Untraced(classes)


class _LostGradient(Network):
    def forward(self, images: torch.Tensor) -> Any:
        features = self.features(images).exp()
        answers = self.head(features)
        features.add_(1)
        return answers


def lost_gradient(classes: int) -> nn.Module:
    return _LostGradient(classes)


def norm_after_pooling(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, classes)
    )


class LoopingOverImages(nn.Module):
    """A convolution that each image of a batch is given to by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.body(image[None]) for image in images])


def one_image_at_a_time(classes: int) -> nn.Module:
    return LoopingOverImages()
