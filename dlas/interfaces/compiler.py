"""Layer 5: a compiler. One is given every kernel, others take a network and have kernels of their own."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dlas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.export import ExportedProgram
    from tvm.tirx import PrimFunc

    from dlas.interfaces.program import LoweredProgram
    from dlas.interfaces.targets.code_target import CodeTarget


class NetworkNotTaken(UserError):
    """A network that a compiler can't take, such as for an operator that it does not know, or its data type.
    That tells nothing of points with another compiler or another network."""


@runtime_checkable
class KernelCompiler(Protocol):
    """Compiler that is given the kernel of each layer, by its algorithm or tuned. TVM is the one that there
    is: `dlas.systems.compilers.tvm.building`."""

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


class RunsOn(Enum):
    """The CPUs that run what a compiler writes."""

    ANY = "every CPU"
    TARGET = "the CPU of the target"
    HERE = "the CPU of this machine"


class NetworkCompiler(Protocol):
    """Compiler that takes a whole network and has kernels of its own: the module `compiler` in the folder of
    its name, in `dlas/systems/compilers/`. It is light to import.

    What it writes is run by the runner of the same name (`dlas.interfaces.runner`), a module of
    `dlas/hardware/sessions/runners/`. The extra of the same name installs what both take.
    """

    PACKAGES: Mapping[str, str]
    """Packages that it and its runner import and DLAS itself does not: the name in an import, and that of
    the distribution."""
    PROGRAMS: tuple[str, ...]
    """Programs of the system that it calls, by the names that a shell finds them by."""
    DATA_TYPES: tuple[str, ...]
    """Data types of the networks that it takes, of float32, float16 and int8."""
    NOT_TAKEN: Mapping[str, str]
    """Why it does not take the others, by data type: what it does of such a network."""
    FLOAT16: Mapping[str, str]
    """Extension of the instruction set by which its runtime computes in float16, by architecture, both by
    LLVM's names. A CPU without it is refused such a network. Empty where all CPUs are alike in that."""
    RUNS_ON: RunsOn
    """The CPUs that run what it writes."""

    def convert(self, program: ExportedProgram, target: CodeTarget, library: Path, /) -> None:
        """Write the files of the network into the empty folder `library`, which the bundle keeps.

        `program` is the network as dlas.models.graph.exporting.exported leaves it, in eval mode; its images
        are float32, of one shape (N, C, H, W). NetworkNotTaken, naming the operator, for one that this
        compiler does not know; whoever called adds in which layer it is.
        """
        ...

    def convert_again(self, kept: Path, target: CodeTarget, library: Path, /) -> None:
        """Write the files into the empty folder `library` anew, for another target, from those that a bundle
        kept in the folder `kept`, which may be a stranger's. UserError where they don't tell the network.
        """
        ...


class Int8Compiler(NetworkCompiler, Protocol):
    """Compiler that takes int8 networks, and tells what of such a one its runtime computes in integers."""

    def macs(self, library: Path, /) -> Mapping[str, int]:
        """Multiply-accumulates of one run of each convolution and matrix multiplication, by its name in the
        files of the network in `library`."""
        ...
