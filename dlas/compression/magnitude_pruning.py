"""Unstructured and block pruning: the weights of least magnitude in the whole network become zero.

A convolution's weight (O,I,H,W) is seen as the matrix (O, I*H*W), a linear layer's as it is. Blocks of that
matrix are ranked over all layers together by the sum of their absolute values (Mao et al., arXiv:1705.08922,
section 3); with blocks of 1x1 that is global magnitude pruning (Han et al., arXiv:1506.02626).

Convolutions and linear layers are pruned, but for the last layer (the classifier), depthwise convolutions and
transposed ones. Of the first two the weights are few and of another scale than the rest: in one ranking with
the others, all of them can go, and with them whatever the network answers. Biases and batch norm are never
pruned.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression import automatic
from dlas.compression.automatic import RESULT
from dlas.compression.finetuning import Finetune, finetune
from dlas.compression.rehearsal import refusal, require_run
from dlas.files.checkpoints import Checkpoints

if TYPE_CHECKING:
    import torch
    from torch import nn

    from dlas.interfaces.images import ImageDataset

log = logging.getLogger(__name__)

Block = tuple[int, int]
"""Rows and columns of a block."""

SPARSITIES = (*(percent / 100 for percent in range(5, 90, 5)), *(percent / 100 for percent in range(90, 100)))
"""Sparsities that `sparsity=auto` chooses from: 0.05, 0.10, ... 0.90, 0.91, ... 0.99. From 0.9 on the steps
are finer, since there one more point is a tenth or more of what remains."""


@dataclass(frozen=True)
class MagnitudePruning(config.Compression):
    """Settings of magnitude pruning; `sparsity` is the fraction of the pruned layers' weights that become
    zero, or "auto"."""

    sparsity: int | float | str = 0.8
    max_drop: float = 0.01
    """Largest loss of top-1 accuracy that `sparsity=auto` accepts, as a fraction of 1."""
    steps: int = 3
    """Rounds of pruning, each followed by fine-tuning; the sparsity rises from one to the next, up to
    `sparsity`."""
    finetune: Finetune = field(default_factory=lambda: Finetune(epochs=2))
    """Fine-tuning after each round of pruning."""

    def __post_init__(self) -> None:
        automatic.check(self.sparsity, f"{self.key}.sparsity", self.max_drop, f"{self.key}.max_drop")
        config.require(self.steps >= 1, f"{self.key}.steps", f"{self.steps} is too small", "1 or more")
        self.finetune.check(f"{self.key}.finetune")

    @property
    def leaves_zeros(self) -> bool:
        """Whether this step leaves zero weights that a sparse format need not store."""
        return True


def rehearse(
    model: nn.Module, image_shape: tuple[int, int, int], settings: MagnitudePruning, block: Block
) -> nn.Module:
    """A copy of `model` whose blocks of least magnitude are zero, for `sparsity=auto` at the highest that is
    tried; UserError where no layer can be pruned."""
    pruned = copy.deepcopy(model).eval()
    weights = prunable_weights(pruned, image_shape).values()
    if not weights:
        raise refusal(
            settings,
            "this network has no layer to prune: no convolution or linear layer before the last one, leaving "
            "depthwise convolutions and parametrized weights aside",
        )
    sparsity = SPARSITIES[-1] if isinstance(settings.sparsity, str) else settings.sparsity
    zero_smallest_blocks([weight for weight in weights if divides(block, weight)], sparsity, block)
    require_run(pruned, image_shape, settings)
    return pruned


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: MagnitudePruning,
    block: Block,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints,
) -> nn.Module:
    """A copy of `model` whose blocks of least magnitude are zero, fine-tuned.

    With `sparsity=auto` the result is the one that declaring the sparsity which `automatic` finds would give.
    """

    def pruned(sparsity: float, images: ImageDataset, place: Checkpoints) -> nn.Module:
        return _prune_gradually(copy.deepcopy(model), images, settings, sparsity, block, train, seed, place)

    sparsity = settings.sparsity
    if isinstance(sparsity, str):
        sparsity = automatic.highest(
            pruned, SPARSITIES, dataset, settings.max_drop, f"{settings.key}.sparsity", seed, checkpoints
        )
    compressed = pruned(sparsity, dataset, checkpoints.at(RESULT))
    weights = prunable_weights(compressed, dataset.image_shape)
    emptied = [name for name, weight in weights.items() if not weight.any()]
    if emptied:
        log.warning("%s: no weight is left in %s", settings.key, ", ".join(emptied))
    return compressed


def restore(model: nn.Module, weights: Path) -> nn.Module:
    """The pruned network, made from the unpruned one and the weights that `checkpoint.save` kept."""
    from dlas.models import checkpoint

    pruned = copy.deepcopy(model)
    checkpoint.load(pruned, weights)
    return pruned.eval()


def sparsity_schedule(sparsity: float, steps: int) -> list[float]:
    """The sparsity after each step: s * (1 - (1 - t/n)^3) for t = 1 to n.

    It rises fast while there is much to spare and slowly at the end (Zhu and Gupta, arXiv:1710.01878,
    equation 1, from a sparsity of nothing).
    """
    return [sparsity * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]


def prunable_weights(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, nn.Parameter]:
    """The weights of the layers that are pruned, by name, in the order the layers run in.

    A weight that layers share stands under the first one's name. One that is computed (by weight norm, say)
    would not keep its zeros, and is none of them.
    """
    from dlas.models.counting import macs_by_layer, own_weight

    layers = {name: model.get_submodule(name) for name in macs_by_layer(model, image_shape)}
    weights = {name: own_weight(layer) for name, layer in layers.items()}
    last = next(reversed(weights.values()), None)
    chosen: dict[str, nn.Parameter] = {}
    for name, weight in weights.items():
        shared = any(weight is other for other in (last, *chosen.values()))
        if weight is not None and not shared and not _unranked(layers[name]):
            chosen[name] = weight
    return chosen


def divides(block: Block, weight: torch.Tensor) -> bool:
    """Whether the weight's matrix is a whole number of blocks."""
    rows, columns = block
    return weight.shape[0] % rows == 0 and weight[0].numel() % columns == 0


def zero_smallest_blocks(weights: Sequence[torch.Tensor], sparsity: float, block: Block) -> None:
    """Set to zero in place the fraction `sparsity` of all blocks of the weights, which the block divides.

    Blocks that were zero before are the smallest, and so stay. At least one block stays as it is.
    """
    import torch

    magnitudes = [block_magnitudes(weight, block) for weight in weights]
    ranked = torch.cat([magnitude.flatten() for magnitude in magnitudes])
    count = min(round(sparsity * ranked.numel()), ranked.numel() - 1)
    smallest = torch.zeros_like(ranked, dtype=torch.bool)
    smallest[torch.topk(ranked, count, largest=False, sorted=False).indices] = True
    parts = torch.split(smallest, [magnitude.numel() for magnitude in magnitudes])
    with torch.no_grad():
        for weight, magnitude, part in zip(weights, magnitudes, parts, strict=True):
            weight.masked_fill_(_over_weights(part.reshape(magnitude.shape), weight, block), 0)


def block_magnitudes(weight: torch.Tensor, block: Block) -> torch.Tensor:
    """The sum of absolute values in each block of the weight as a matrix: (rows / r, columns / c)."""
    rows, columns = block
    matrix = weight.detach().abs().flatten(start_dim=1)
    return matrix.unfold(0, rows, rows).unfold(1, columns, columns).sum(dim=(2, 3))


def _prune_gradually(
    model: nn.Module,
    dataset: ImageDataset,
    settings: MagnitudePruning,
    sparsity: float,
    block: Block,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints,
) -> nn.Module:
    """Prune and fine-tune `model` in place, from the step on that an interrupted attempt was at.

    The state that was saved in that step has the network in it as it was pruned there.
    """
    going_on = int(checkpoints.reached or 0)
    for step, sparsity_there in enumerate(sparsity_schedule(sparsity, settings.steps), 1):
        if step < going_on:
            continue
        log.info("%s: step %d of %d to sparsity %.3f", settings.key, step, settings.steps, sparsity_there)
        if step > going_on:
            weights = prunable_weights(model, dataset.image_shape).values()
            zero_smallest_blocks(
                [weight for weight in weights if divides(block, weight)], sparsity_there, block
            )
        finetune(
            model,
            dataset,
            settings.finetune,
            train,
            seed + step - 1,
            f"{settings.key}.finetune",
            checkpoints.at(str(step)),
        )
    return model


def _unranked(layer: nn.Module) -> bool:
    """Whether the layer is transposed, its weight another matrix, or depthwise: each of its output channels
    reads one input channel."""
    from dlas.models.layer_kinds import CONVOLUTIONS

    return isinstance(layer, CONVOLUTIONS) and (layer.transposed or layer.groups == layer.in_channels > 1)


def _over_weights(blocks: torch.Tensor, weight: torch.Tensor, block: Block) -> torch.Tensor:
    """The value of each block repeated for each of its weights, in the weight's shape."""
    rows, columns = block
    return blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1).reshape(weight.shape)
