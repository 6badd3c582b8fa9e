"""Code target: a CPU, its vector registers, the GPU beside it."""

from __future__ import annotations

from dataclasses import dataclass

VALUE_BYTES = 4
"""Bytes of a float32 or an int32."""

MAX_LANES, MIN_LANES = 16, 4
"""Values of 32 bits in the widest vector register that code is made for, AVX-512's, and in the narrowest that
is worth the name, NEON's and SSE's. What is laid out before there is a target goes by them, since the program
in a bundle is built for any target; where its registers are narrower, LLVM takes several."""

L2_BYTES_UNTOLD = 512 << 10
"""Bytes of the second-level cache where neither a declared target nor the operating system tells: the size
that the schedules were made with when all machines were taken for alike, as were those of older bundles."""


@dataclass(frozen=True)
class CodeTarget:
    """All that algorithms and the compiler know of a machine. The same code target gives the same code."""

    triple: str
    cpu: str
    """LLVM's name of the CPU."""
    cores: int
    """Cores that the schedules share the work among. The placement says how many threads run it."""
    vector_bytes: int
    vector_registers: int
    features: tuple[str, ...] = ()
    """LLVM features beyond the CPU's own, `+name` or `-name`."""
    instruction_sets: tuple[str, ...] = ()
    """The extensions that the generated code may use: a machine without one of them can't run it."""
    kind: str = "cpu"
    """Processor that computes: cpu, or cuda for a GPU beside the CPU."""
    arch: str = ""
    """The compute capability of that GPU, such as sm_87."""
    l2_bytes: int = L2_BYTES_UNTOLD
    """Bytes of the second-level cache that a core has for itself, or its share of one."""

    @property
    def lanes(self) -> int:
        """Values of 32 bits in a vector register."""
        return self.vector_bytes // VALUE_BYTES
