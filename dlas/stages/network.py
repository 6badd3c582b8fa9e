"""A network as a stage leaves it."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import checkpoint, evaluation
from dlas.stages.stage import Kept

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

WEIGHTS, ACCURACY = "model.safetensors", "accuracy.json"


@dataclass(frozen=True, kw_only=True)
class Network(Kept):
    """A PyTorch network, in eval mode."""

    module: nn.Module

    @property
    def weights(self) -> Path:
        """The file of the state dict, as safetensors."""
        return self.folder / WEIGHTS

    @cached_property
    def accuracy(self) -> float:
        """Top-1 accuracy on the whole test set, as a fraction of 1."""
        found: float = json.loads((self.folder / ACCURACY).read_text())["top1"]
        return found


def keep(network: nn.Module, dataset: ImageDataset, folder: Path) -> None:
    """Write the network's weights and its accuracy."""
    checkpoint.save(network, folder / WEIGHTS)
    found = {"top1": evaluation.accuracy(network, dataset)}
    (folder / ACCURACY).write_text(json.dumps(found, indent=1) + "\n")


def filled(network: nn.Module, folder: Path) -> Network:
    """A copy of the network with the weights that `keep` wrote."""
    found = copy.deepcopy(network)
    checkpoint.load(found, folder / WEIGHTS)
    return Network(folder=folder, module=found.eval())
