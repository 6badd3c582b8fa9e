"""What code is made for: a CPU, its vector registers, the GPU beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeTarget:
    """All that algorithms and the compiler know of a machine. The same code target gives the same code."""

    triple: str
    cpu: str
    """As LLVM calls it."""
    cores: int
    """How many the schedules share the work among. How many threads run it is the placement's."""
    vector_bytes: int
    vector_registers: int
    features: tuple[str, ...] = ()
    """LLVM features beyond the CPU's own, `+name` or `-name`."""
    instruction_sets: tuple[str, ...] = ()
    """The extensions that the generated code may use: a machine without one of them can't run it."""
    kind: str = "cpu"
    """What computes: the CPU, or with cuda a GPU beside it."""
    arch: str = ""
    """The compute capability of that GPU, such as sm_87."""
