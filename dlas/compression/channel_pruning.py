"""Structured pruning: whole channels go, so that what remains is a smaller dense network.

Channels are ranked by the L1 norm of their weights (Li et al., arXiv:1608.08710). Those that belong together
(through residual additions, batch norm, the next layer's inputs) are found and removed together by the
dependency graph of torch-pruning (Fang et al., arXiv:2301.12900). A layer whose channels cannot go alone, or
not without changing what the others compute, stays whole.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression import automatic
from dlas.compression.automatic import RESULT
from dlas.compression.finetuning import Finetune, finetune
from dlas.compression.rehearsal import random_images, refusal
from dlas.files.checkpoints import NOWHERE, Checkpoints

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

log = logging.getLogger(__name__)

RATIOS = tuple(percent / 100 for percent in range(5, 100, 5))
"""Ratios that `ratio=auto` chooses from: 0.05, 0.10, ... 0.95."""

COUPLED = "they belong to others that stay"


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
    and the result is of the largest. UserError where no channel can go, a warning where none has to."""
    from dlas.models import counting

    ratios = (RATIOS[0], RATIOS[-1]) if isinstance(settings.ratio, str) else (settings.ratio,)
    for ratio in ratios:
        pruned, unprunable = _pruned(model, image_shape, ratio, settings.round_to)
    if counting.parameters(pruned) == counting.parameters(model):
        if unprunable:
            raise refusal(settings, f"no channels of this network can go: those of {_told(unprunable)}")
        log.warning(
            "%s: no layer but the last has more channels than remain at ratio=%s and round_to=%d",
            settings.key,
            ratio,
            settings.round_to,
        )
    return pruned


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """A copy of `model` with fewer channels, fine-tuned, from where an interrupted attempt stood.

    With `ratio=auto` the result is the one that declaring the ratio which `automatic` finds would give.
    """

    def pruned(ratio: float, images: ImageDataset, place: Checkpoints) -> nn.Module:
        smaller = prune_channels(model, images.image_shape, ratio, settings.round_to)
        return finetune(smaller, images, settings.finetune, train, seed, f"{settings.key}.finetune", place)

    ratio = settings.ratio
    if isinstance(ratio, str):
        ratio = automatic.highest(
            pruned, RATIOS, dataset, settings.max_drop, f"{settings.key}.ratio", seed, checkpoints
        )
    return pruned(ratio, dataset, checkpoints.at(RESULT))


def restore(model: nn.Module, weights: Path) -> nn.Module:
    """The pruned network, made from the unpruned one and the weights that `checkpoint.save` kept."""
    from dlas.models import checkpoint

    smaller = copy.deepcopy(model)
    checkpoint.load_resized(smaller, weights)
    return smaller.eval()


def prune_channels(
    model: nn.Module, image_shape: tuple[int, int, int], ratio: float, round_to: int
) -> nn.Module:
    """A copy of `model` from which `ratio` of each layer's channels were removed; the classes stay.

    A warning names the layers that stay whole because their channels cannot go.
    """
    pruned, unprunable = _pruned(model, image_shape, ratio, round_to)
    if unprunable:
        log.warning("channel pruning leaves the channels of %s", _told(unprunable))
    return pruned


def _pruned(
    model: nn.Module, image_shape: tuple[int, int, int], ratio: float, round_to: int
) -> tuple[nn.Module, dict[str, str]]:
    """The pruned copy, and the layers whose channels cannot go, each with the reason.

    The last layer is taken for the classifier where all others can be pruned without it.
    """
    from dlas.compression import soundness
    from dlas.compression.soundness import Unsound
    from dlas.models.counting import macs_by_layer

    whole, images = copy.deepcopy(model).eval(), random_images(image_shape, 2)
    widths = {name: _channels(whole, name) for name in macs_by_layer(whole, image_shape)}
    fractions = {
        name: removed_fraction(width, remaining_channels(width, ratio, round_to))
        for name, width in widths.items()
    }

    def without(names: Sequence[str]) -> nn.Module:
        return soundness.without(whole, images, {name: fractions[name] for name in names})

    wide = [name for name, fraction in fractions.items() if fraction]
    inner = [name for name in wide if name != list(fractions)[-1]]
    reasons: dict[str, str] = {}
    try:
        pruned = without(inner)
    except Unsound:
        chosen, reasons = _prunable(without, wide)
        pruned = without(chosen) if chosen else whole
    stay = {name: reasons.get(name, COUPLED) for name in inner if _channels(pruned, name) == widths[name]}
    return pruned, stay


def _prunable(
    without: Callable[[Sequence[str]], nn.Module], layers: list[str]
) -> tuple[list[str], dict[str, str]]:
    """As many of the layers as can be pruned together, found by bisection, and the reasons of the others."""
    from dlas.compression.soundness import Unsound

    chosen: list[str] = []
    reasons: dict[str, str] = {}
    try:
        without(chosen)
    except Unsound as unsound:  # of the network as a whole
        return chosen, dict.fromkeys(layers, str(unsound))
    waiting = [layers]
    while waiting:
        names = waiting.pop()
        half = len(names) // 2
        try:
            without([*chosen, *names])
            chosen += names
        except Unsound as unsound:
            if half:
                waiting += [names[half:], names[:half]]
            else:
                reasons[names[0]] = str(unsound)
    return chosen, reasons


def _told(unprunable: Mapping[str, str]) -> str:
    """Text of layers and reasons, a reason once, behind the layers that it keeps whole."""
    named = {
        reason: [name for name, why in unprunable.items() if why == reason]
        for reason in dict.fromkeys(unprunable.values())
    }
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in named.items())


def _channels(network: nn.Module, name: str) -> int:
    """Number of output channels of its convolution, or of features of its linear layer, of that name."""
    from torch import nn

    layer = network.get_submodule(name)
    channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    assert isinstance(channels, int)
    return channels


def remaining_channels(channels: int, ratio: float, round_to: int) -> int:
    """The multiple of `round_to` nearest to (1 - ratio) * channels: at least one multiple, at most all."""
    multiples = math.floor((1 - ratio) * channels / round_to + 0.5)
    return min(max(multiples, 1) * round_to, channels)


def removed_fraction(channels: int, remaining: int) -> float:
    """The ratio with which torch-pruning keeps `remaining` channels: it keeps floor(channels * (1 - ratio)).

    The half channel keeps that floor clear of rounding errors.
    """
    return max(0.0, 1 - (remaining + 0.5) / channels)
