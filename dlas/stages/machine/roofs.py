"""The measured peak and bandwidth of the target's machine, which are kept with the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.hardware.results import roofs as results
from dlas.hardware.results.roofs import Roofs
from dlas.hardware.timing import roofs as timing
from dlas.stages import target_parts
from dlas.stages.stage import Kept, counted_by
from dlas.stages.store import decision
from dlas.stages.store.decision import Decision
from dlas.systems.compilers.tvm import roofs as kernels

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.target import Target

LIBRARY, FOUND = "roofs.so", "roofs.json"


@dataclass(frozen=True, kw_only=True)
class MeasuredRoofs(Kept):
    """The roofs of a machine."""

    roofs: Roofs

    @property
    def path(self) -> Path:
        """The file of the measurement."""
        return self.folder / FOUND


@dataclass(frozen=True, kw_only=True)
class MeasureRoofs(Decision[MeasuredRoofs]):
    """The measurement of the roofs of the target's machine."""

    target: Target = field(metadata=counted_by(target_parts.code_placement_and_reach))
    """The board. Its name and what links for it are not counted: neither decides what it can do."""
    machine: str
    """Name of this machine, where it is the board; "" of a board elsewhere, which its address tells apart."""

    stage = "roofs"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        code = self.target.code
        kernels.build(code, self.target.linker, folder / LIBRARY)
        found = timing.measure(folder / LIBRARY, kernels.peaks(code), self.target)
        results.write(found, folder / FOUND)
        decision.write(found.unsteady, folder)

    def read(self, folder: Path) -> MeasuredRoofs:
        return MeasuredRoofs(folder=folder, roofs=results.read(folder / FOUND))
