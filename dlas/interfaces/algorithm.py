"""Layer 4: an algorithm of convolution.

An algorithm is written in one of two ways: in TE (`TEAlgorithm`), whose schedules a tuner searches, or in
TensorIR (`TensorIRAlgorithm`), whose parameters a tuner chooses where it names some (`TunableAlgorithm`), and
which may call C (`CallingAlgorithm`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from tvm import te
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.interfaces.workload import ConvWorkload


@runtime_checkable
class Algorithm(Protocol):
    """Module with kernels of convolution, whichever way they are written.

    A `workload` has the blocks of channels that `layouts` answered, except where it is asked of `unsupported`
    and of `layouts`. Every function gives the same for the same arguments.
    """

    def unsupported(self, workload: ConvWorkload, /) -> str:
        """Say why the layer cannot be served, for a person to read; "" where it can. Asked before anything
        else, for whatever target."""
        ...

    def layouts(self, workload: ConvWorkload, /) -> tuple[int, int]:
        """Give how many channels lie innermost in the input and in the output: 1 is NCHW, 8 is NCHW8c. They
        divide the channels."""
        ...

    def pack_weight(self, workload: ConvWorkload, weight: np.ndarray, /) -> tuple[np.ndarray, ...]:
        """Give OIHW weights as the arrays that the kernel reads. `weight` is left as it was. Done once, when
        the library is built."""
        ...


@runtime_checkable
class TEAlgorithm(Algorithm, Protocol):
    """Kernels written in TE. The module imports nothing of TVM but `tvm.te`, so that every TVM that knows TE
    can load it, that of Ansor's worker too."""

    def compute(self, workload: ConvWorkload, /) -> list[te.Tensor]:
        """Give [input, *packed weight, bias?, residual?, output], as `ConvWorkload` says what follows the
        sums."""
        ...

    def schedule(self, sch: Schedule, workload: ConvWorkload, target: CodeTarget, /) -> None:
        """Apply, in place, the schedule of an untuned kernel; `sch` holds what `compute` defines, as
        `main`."""
        ...


@runtime_checkable
class TensorIRAlgorithm(Algorithm, Protocol):
    """Kernels written in TensorIR, scheduled."""

    def kernel(self, workload: ConvWorkload, target: CodeTarget, /) -> PrimFunc:
        """Give the untuned kernel of (input, *packed weight, bias?, residual?, output).

        A program that is not scheduled yet has it for a stand-in of a CPU, whose triple is empty: shapes and
        types of the arguments are the same for every target.
        """
        ...


@runtime_checkable
class TunableAlgorithm(TensorIRAlgorithm, Protocol):
    """Kernels in TensorIR with parameters that a tuner may choose."""

    def parameters(self, workload: ConvWorkload, target: CodeTarget, /) -> tuple[Any, ...]:
        """Give what may be chosen: frozen dataclasses whose fields are plain JSON values. First what `kernel`
        chooses, then the most promising first."""
        ...

    def kernel_with(self, workload: ConvWorkload, target: CodeTarget, chosen: Any, /) -> PrimFunc:
        """Give the kernel with one of these."""
        ...


@runtime_checkable
class CallingAlgorithm(TensorIRAlgorithm, Protocol):
    """Kernels in TensorIR that call functions in C, which the library of a network gets beside them."""

    def c_code(self) -> str:
        """Give the C of these functions, for the C compiler of this machine. Their names are theirs alone."""
        ...


@runtime_checkable
class GPUSchedule(Protocol):
    """The module that a family's table names as `cuda`."""

    def schedule(self, function: PrimFunc, workload: ConvWorkload, target: CodeTarget, /) -> PrimFunc:
        """Give what `compute` defines (`function`), bound to blocks and threads."""
        ...
