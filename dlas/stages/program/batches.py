"""The network as a program for a larger batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import precision
from dlas.plugins.registry import ALGORITHMS
from dlas.stages.program.lowering import Lowered
from dlas.stages.stage import Stage
from dlas.systems.choices.lowering import enlarged
from dlas.systems.program import program

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.stages.network import Network


@dataclass(frozen=True, kw_only=True)
class Enlarge(Stage[Lowered]):
    """The program for a larger batch: every layer by its algorithm and in its format for one image."""

    lowered: Lowered
    network: Network
    image_shape: tuple[int, int, int]
    size: int
    """Number of images in a batch."""

    stage = "lower-batch"

    def named_modules(self) -> Sequence[str]:
        return [ALGORITHMS.path(layer.algorithm) for layer in self.lowered.program.layers]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        model, shape = precision.exportable(self.network.module, self.size), (self.size, *self.image_shape)
        program.save(enlarged(self.lowered.program, model, shape), folder)

    def read(self, folder: Path) -> Lowered:
        return Lowered(folder=folder, program=program.load(folder))
