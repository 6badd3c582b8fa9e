"""The dense network, trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import training
from dlas.stages.network import Network, filled, keep
from dlas.stages.stage import Stage

if TYPE_CHECKING:
    from dlas import config
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.images import ImageDataset
    from dlas.models.untrained import Untrained


@dataclass(frozen=True, kw_only=True)
class Train(Stage[Network]):
    """The dense network, trained from its first weights."""

    network: Untrained
    dataset: ImageDataset
    settings: config.Train
    seed: int

    stage = "train"

    def named_modules(self) -> Sequence[str]:
        return (self.network.code,)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        network = training.train(
            copy.deepcopy(self.network.module),
            self.dataset,
            self.settings,
            self.seed,
            checkpoints=checkpoints,
        )
        keep(network, self.dataset, folder)

    def read(self, folder: Path) -> Network:
        return filled(self.network.module, folder)
