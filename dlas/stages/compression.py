"""The network made cheaper by one step of compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.stages.network import Network, keep
from dlas.stages.stage import Stage

if TYPE_CHECKING:
    from dlas import config
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.images import ImageDataset


@dataclass(frozen=True, kw_only=True)
class Compress(Stage[Network]):
    """The declared step of compression, applied to the network before it."""

    network: Network
    dataset: ImageDataset
    settings: config.Compression
    train: config.Train
    """Settings of the dense network's training, for what fine-tuning does not set itself."""
    seed: int

    @property
    def stage(self) -> str:
        return f"compress-{self.settings.name}"

    def named_modules(self) -> Sequence[str]:
        return (self.settings.implementation,)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        method = import_module(self.settings.implementation)
        made = method.compress(
            self.network.module, self.dataset, self.settings, self.train, self.seed, checkpoints
        )
        keep(made, self.dataset, folder)

    def read(self, folder: Path) -> Network:
        method = import_module(self.settings.implementation)
        weights = Network(folder=folder, module=self.network.module).weights
        return Network(folder=folder, module=method.restore(self.network.module, weights))
