"""Structured pruning: whole channels go, so that what remains is a smaller dense network.

Channels are ranked by the L1 norm of their weights (Li et al., arXiv:1608.08710). Those that belong together
(through residual additions, batch norm, the next layer's inputs) are found and removed together by the
dependency graph of torch-pruning (Fang et al., arXiv:2301.12900).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression.finetuning import Finetune, finetune

if TYPE_CHECKING:
    from torch import nn

    from dlas.datasets.dataset import ImageDataset


@dataclass(frozen=True)
class Settings(config.Compression):
    """`ratio` is the fraction of each layer's channels that goes."""

    ratio: float = 0.5
    round_to: int = 8
    """What remains of a layer is a multiple of this many channels, as vector units like it."""
    finetune: Finetune = field(default_factory=Finetune)

    def __post_init__(self) -> None:
        ratio = self.ratio
        config.require(0 <= ratio < 1, "compression.ratio", f"{ratio} is out of range", "0 to below 1")
        multiple = self.round_to
        config.require(multiple >= 1, "compression.round_to", f"{multiple} is too small", "1 or more")


def compress(
    model: nn.Module, dataset: ImageDataset, settings: Settings, train: config.Train, seed: int
) -> nn.Module:
    """A copy of `model` with fewer channels, fine-tuned."""
    smaller = prune_channels(model, dataset.image_shape, settings.ratio, settings.round_to)
    return finetune(smaller, dataset, settings.finetune, train, seed)


def prune_channels(
    model: nn.Module, image_shape: tuple[int, int, int], ratio: float, round_to: int
) -> nn.Module:
    """A copy of `model` from which `ratio` of each layer's channels were removed; the classes stay."""
    import torch
    from torch import nn
    from torch_pruning import importance
    from torch_pruning.pruner import MagnitudePruner

    from dlas.models.counting import macs_by_layer

    smaller = copy.deepcopy(model).eval()
    *_, classifier = macs_by_layer(smaller, image_shape)
    pruner = MagnitudePruner(
        smaller,
        torch.zeros(1, *image_shape),
        importance.MagnitudeImportance(p=1, target_types=[nn.Conv2d, nn.Linear]),
        pruning_ratio=ratio,
        round_to=round_to,
        ignored_layers=[smaller.get_submodule(classifier)],
        in_channel_groups={},
        out_channel_groups={},
    )
    pruner.step()
    smaller.zero_grad(set_to_none=True)
    return smaller
