"""The untuned schedule for each kernel, where there is no tuner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.stages.kernels import chosen
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.stage import Stage
from dlas.systems.program.kernel_choice import NOT_TUNED, KernelChoice

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.stages.program.lowering import Lowered


@dataclass(frozen=True, kw_only=True)
class KeepUntuned(Stage[Kernels]):
    """The untuned schedule of every kernel: nothing is chosen, and nothing measured."""

    lowered: Lowered

    stage = "kernels"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        names = dict.fromkeys(layer.kernel for layer in self.lowered.program.layers)
        chosen.write([KernelChoice(name, tuned=False, reason=NOT_TUNED) for name in names], {}, folder)

    def read(self, folder: Path) -> Kernels:
        return chosen.read(folder)
