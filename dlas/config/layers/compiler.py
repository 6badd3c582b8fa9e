"""Layer 5: what makes the library."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.errors import require
from dlas.plugins.registry import NETWORK_COMPILERS

TVM, MIXED = "tvm", "mixed"
VENDORS = ("onednn",)
"""Algorithms whose kernels are those of a vendor's library: `MIXED` has them beside the declared ones."""

OWN = "own"
"""Name of the algorithm, the format and the tuner of a compiler that has kernels of its own."""


@dataclass(frozen=True)
class Compiler:
    """Layer 5: the compiler, and how much TVM optimizes, which compiles for `MIXED` as well; every other one
    does all it can."""

    name: str
    opt_level: int = 3

    def __post_init__(self) -> None:
        compilers = (TVM, MIXED, *NETWORK_COMPILERS.names())
        known = self.name in compilers
        require(known, "compiler.name", f"'{self.name}' is not built", f"one of: {', '.join(compilers)}")
        level = self.opt_level
        require(0 <= level <= 3, "compiler.opt_level", f"{level} is out of range", "0, 1, 2 or 3")

    @property
    def has_own_kernels(self) -> bool:
        """Whether it takes a whole network, so that algorithm, format and tuner say nothing to it."""
        return self.name not in (TVM, MIXED)

    @property
    def runtime(self) -> str:
        """Name of the runtime of its libraries: TVM's runs those of `MIXED` as well."""
        return self.name if self.has_own_kernels else TVM

    @property
    def vendors(self) -> tuple[str, ...]:
        """Algorithms that each layer may choose from beside those that were declared."""
        return VENDORS if self.name == MIXED else ()
