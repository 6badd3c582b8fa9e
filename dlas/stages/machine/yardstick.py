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
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.code_target import CodeTarget

LIBRARY = "yardstick.so"


@dataclass(frozen=True, kw_only=True)
class Yardstick(Kept):
    """The library of the small network that is always the same."""

    @property
    def path(self) -> Path:
        """The file of the library."""
        return self.folder / LIBRARY


@dataclass(frozen=True, kw_only=True)
class BuildYardstick(Stage[Yardstick]):
    """The yardstick's network, compiled and linked."""

    target: CodeTarget
    linker: str | None = field(metadata=counted_by(nothing))
    """The command to link with, which does not change what the library computes; None looks for one."""

    stage = "yardstick"

    def named_modules(self) -> Sequence[str]:
        return scheduling_modules([yardstick.LAYER], self.target)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        yardstick.build(self.target, self.linker, folder / LIBRARY)

    def read(self, folder: Path) -> Yardstick:
        return Yardstick(folder=folder)
