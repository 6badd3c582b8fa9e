"""The dense network with the weights that it is given."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import weights
from dlas.stages.network import Network, filled, keep
from dlas.stages.stage import Stage

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.files.weights_file import WeightsFile
    from dlas.interfaces.images import ImageDataset
    from dlas.models.untrained import Architecture


@dataclass(frozen=True, kw_only=True)
class TakeWeights(Stage[Network]):
    """Read weights from a file in the place of training."""

    network: Architecture
    dataset: ImageDataset
    weights: WeightsFile

    stage = "weights"

    def named_modules(self) -> Sequence[str]:
        return (self.network.code,)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        network = copy.deepcopy(self.network.module)
        weights.load(network, self.weights.path, self.dataset)
        keep(network, self.dataset, folder)

    def read(self, folder: Path) -> Network:
        return filled(self.network.module, folder)
