"""The network as a program that is not scheduled yet, by one algorithm with weights in one format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import precision
from dlas.stages.stage import Kept, Stage
from dlas.systems.choices.declared_algorithm import serving_modules
from dlas.systems.choices.kind import Kind
from dlas.systems.choices.lowering import lower
from dlas.systems.program import program

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.program import LoweredProgram
    from dlas.stages.network import Network


@dataclass(frozen=True, kw_only=True)
class Lowered(Kept):
    """The network as a program that is not scheduled yet."""

    program: LoweredProgram
    unsteady: tuple[str, ...] = ()
    """Reasons to doubt the times by which its kernels were chosen, if any were."""


@dataclass(frozen=True, kw_only=True)
class Lower(Stage[Lowered]):
    """The program with every layer by the declared algorithm and format, or by their fallback."""

    network: Network
    image_shape: tuple[int, int, int]
    kind: Kind

    stage = "lower"

    def named_modules(self) -> Sequence[str]:
        return serving_modules(self.kind, integer=precision.is_int8(self.network.module))

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        model = precision.exportable(self.network.module, batch=1)
        algorithm, weight_format = self.kind.algorithm, self.kind.weight_format
        program.save(lower(model, (1, *self.image_shape), algorithm, weight_format), folder)

    def read(self, folder: Path) -> Lowered:
        return Lowered(folder=folder, program=program.load(folder))
