"""Layer 5: a compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tvm.tirx import PrimFunc

    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.systems.program.program import LoweredProgram


@runtime_checkable
class Compiler(Protocol):
    """Compiler that makes a library of a network. TVM is the one that there is:
    `dlas.systems.compilers.tvm.building`."""

    def require_tools(self, target: CodeTarget, linker: str | None, /) -> None:
        """Raise UserError unless what compiles and links for the target is there. Asked before any work;
        `linker` is the command to link with, None looks for one."""
        ...

    def build_library(
        self,
        program: LoweredProgram,
        tuned: Mapping[str, PrimFunc],
        target: CodeTarget,
        linker: str | None,
        opt_level: int,
        destination: Path,
        /,
    ) -> None:
        """Write the shared library `destination`, whose function `main(input)` is the whole network.

        `program` has the network's operators with every layer's algorithm, and its weights; its inputs are of
        one shape. `tuned` holds scheduled kernels by name, and every other kernel is scheduled by its
        algorithm. The file is all that the bundle keeps, under `library/`; a session loads it by the runtime
        alone and calls `main` with float32 NCHW. UserError where nothing is there to compile or link it for
        the target.
        """
        ...
