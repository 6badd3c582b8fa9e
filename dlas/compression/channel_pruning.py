"""Structured pruning: whole channels go, so that what remains is a smaller dense network.

Channels are ranked by the L1 norm of their weights (Li et al., arXiv:1608.08710). Those that belong together
(through residual additions, batch norm, the next layer's inputs) are found and removed together by the
dependency graph of torch-pruning (Fang et al., arXiv:2301.12900).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression import automatic
from dlas.compression.finetuning import Finetune, finetune
from dlas.compression.rehearsal import require_run

if TYPE_CHECKING:
    from torch import nn

    from dlas.datasets.dataset import ImageDataset

RATIOS = tuple(percent / 100 for percent in range(5, 100, 5))
"""Ratios that `ratio=auto` chooses from: 0.05, 0.10, ... 0.95."""


@dataclass(frozen=True)
class Settings(config.Compression):
    """Settings of channel pruning; `ratio` is the fraction of each layer's channels that goes, or "auto"."""

    ratio: int | float | str = 0.5
    max_drop: float = 0.01
    """Largest loss of top-1 accuracy that `ratio=auto` accepts, as a fraction of 1."""
    round_to: int = 8
    """Channels that remain in a layer are a multiple of this, which suits vector units."""
    finetune: Finetune = field(default_factory=Finetune)

    def __post_init__(self) -> None:
        automatic.check(self.ratio, f"{self.key}.ratio", self.max_drop, f"{self.key}.max_drop")
        multiple = self.round_to
        config.require(multiple >= 1, f"{self.key}.round_to", f"{multiple} is too small", "1 or more")
        self.finetune.check(f"{self.key}.finetune")


def rehearse(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """A copy of `model` with fewer channels; with `ratio=auto` the smallest and the largest ratio are tried,
    and the result is of the largest. UserError where channels cannot go, or where what is left does not run.
    """
    ratios = (RATIOS[0], RATIOS[-1]) if isinstance(settings.ratio, str) else (settings.ratio,)
    for ratio in ratios:
        pruned = prune_channels(model, image_shape, ratio, settings.round_to)
        require_run(pruned, image_shape, settings)
    return pruned


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    folder: Path | None = None,
) -> nn.Module:
    """A copy of `model` with fewer channels, fine-tuned; `folder` as in `automatic.highest`.

    With `ratio=auto` the result is the one that declaring the ratio which `automatic` finds would give.
    """

    def pruned(ratio: float, images: ImageDataset) -> nn.Module:
        smaller = prune_channels(model, images.image_shape, ratio, settings.round_to)
        return finetune(smaller, images, settings.finetune, train, seed, f"{settings.key}.finetune")

    ratio = settings.ratio
    if isinstance(ratio, str):
        ratio = automatic.highest(
            pruned, RATIOS, dataset, settings.max_drop, f"{settings.key}.ratio", seed, folder
        )
    return pruned(ratio, dataset)


def restore(model: nn.Module, weights: Path) -> nn.Module:
    """The pruned network, made from the unpruned one and the weights that `checkpoint.save` kept."""
    from dlas.models import checkpoint

    smaller = copy.deepcopy(model)
    checkpoint.load_resized(smaller, weights)
    return smaller.eval()


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
    *inner, classifier = [smaller.get_submodule(name) for name in macs_by_layer(smaller, image_shape)]
    widths = {layer: layer.get_parameter("weight").shape[0] for layer in inner}
    pruner = MagnitudePruner(
        smaller,
        torch.zeros(1, *image_shape),
        importance.MagnitudeImportance(p=1, target_types=[nn.Conv2d, nn.Linear]),
        # The pruner's own rounding leaves a layer whole where fewer than `round_to` channels would remain.
        pruning_ratio_dict={
            layer: removed_fraction(width, remaining_channels(width, ratio, round_to))
            for layer, width in widths.items()
        },
        ignored_layers=[classifier],
        in_channel_groups={},
        out_channel_groups={},
    )
    pruner.step()
    return smaller


def remaining_channels(channels: int, ratio: float, round_to: int) -> int:
    """The multiple of `round_to` nearest to (1 - ratio) * channels: at least one multiple, at most all."""
    multiples = math.floor((1 - ratio) * channels / round_to + 0.5)
    return min(max(multiples, 1) * round_to, channels)


def removed_fraction(channels: int, remaining: int) -> float:
    """The ratio with which torch-pruning keeps `remaining` channels: it keeps floor(channels * (1 - ratio)).

    The half channel keeps that floor clear of rounding errors.
    """
    return max(0.0, 1 - (remaining + 0.5) / channels)
