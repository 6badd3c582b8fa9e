"""The library of the network that is always the same, by which a board tells of its own pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.stages.stage import Kept, Stage, counted_by, nothing
from dlas.systems.compilers.tvm import yardstick
from dlas.systems.program.kernels import scheduling_modules

if TYPE_CHECKING:
    from dlas.hardware.targets.code_target import CodeTarget

LIBRARY = "yardstick.so"


@dataclass(frozen=True, kw_only=True)
class Yardstick(Kept):
    """The library of that network."""

    @property
    def path(self) -> Path:
        """The library."""
        return self.folder / LIBRARY


@dataclass(frozen=True, kw_only=True)
class BuildYardstick(Stage[Yardstick]):
    """That network compiled and linked."""

    target: CodeTarget
    linker: str | None = field(metadata=counted_by(nothing))
    """The command that links it, which does not change what it computes; None looks for one."""

    stage = "yardstick"

    def named_modules(self) -> Sequence[str]:
        return scheduling_modules([yardstick.LAYER], self.target)

    def make(self, folder: Path) -> None:
        yardstick.build(self.target, self.linker, folder / LIBRARY)

    def read(self, folder: Path) -> Yardstick:
        return Yardstick(folder=folder)
