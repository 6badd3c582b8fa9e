"""The libraries of the networks that are always the same, by which a board tells of its own pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.stages.stage import Kept, Stage, counted_by, nothing
from dlas.systems.compilers.tvm import yardstick
from dlas.systems.program.kernels import scheduling_modules

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.code_target import CodeTarget


@dataclass(frozen=True, kw_only=True)
class Yardsticks(Kept):
    """The libraries of the small networks that are always the same."""

    paths: Mapping[str, Path]
    """Files of the libraries, by the yardsticks' names."""


@dataclass(frozen=True, kw_only=True)
class BuildYardsticks(Stage[Yardsticks]):
    """The yardsticks' networks, compiled and linked."""

    target: CodeTarget
    linker: str | None = field(metadata=counted_by(nothing))
    """The command to link with, which does not change what the library computes; None looks for one."""

    stage = "yardstick"

    def named_modules(self) -> Sequence[str]:
        return scheduling_modules([yardstick.LAYER], self.target)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        for name, path in self._paths(folder).items():
            yardstick.build(name, self.target, self.linker, path)

    def read(self, folder: Path) -> Yardsticks:
        return Yardsticks(folder=folder, paths=self._paths(folder))

    def _paths(self, folder: Path) -> dict[str, Path]:
        return {name: folder / f"{name}.so" for name in yardstick.names(self.target)}
