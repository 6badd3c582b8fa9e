"""The network as a library of kernels that this project scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.hardware.sessions import runners
from dlas.stages.libraries.library import Library
from dlas.stages.stage import Stage, counted_by, nothing
from dlas.systems.compilers.tvm import building, linking
from dlas.systems.program.kernels import c_code, scheduling_modules

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.stages.kernels.chosen import Kernels
    from dlas.stages.program.lowering import Lowered

LIBRARY = "model.so"


@dataclass(frozen=True, kw_only=True)
class Build(Stage[Library]):
    """The compiled and linked program."""

    lowered: Lowered
    kernels: Kernels | None
    """The schedule of each kernel; None for every algorithm's own."""
    target: CodeTarget
    linker: str | None = field(metadata=counted_by(nothing))
    """The command to link with, which does not change what the library computes; None looks for one. What
    compiles C for it counts, by `other_files`."""
    opt_level: int

    stage = "build"

    def named_modules(self) -> Sequence[str]:
        return scheduling_modules(self.lowered.program.layers, self.target)

    def other_files(self) -> Sequence[Path]:
        """The C compiler, where kernels call functions in C: another version of it is another file."""
        return linking.programs(self.target, self.linker) if c_code(self.lowered.program.layers) else ()

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        tuned = {} if self.kernels is None else self.kernels.tuned
        building.build_library(
            self.lowered.program, tuned, self.target, self.linker, self.opt_level, folder / LIBRARY
        )

    def read(self, folder: Path) -> Library:
        return Library(folder=folder, path=folder / LIBRARY, runner=runners.TVM)
