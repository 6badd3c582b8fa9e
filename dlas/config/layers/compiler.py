"""Layer 5: what makes the library."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.errors import require

COMPILERS = ("tvm",)


@dataclass(frozen=True)
class Compiler:
    """Layer 5: the compiler, and how much it optimizes."""

    name: str
    opt_level: int = 3

    def __post_init__(self) -> None:
        known = self.name in COMPILERS
        require(known, "compiler.name", f"'{self.name}' is not built", f"one of: {', '.join(COMPILERS)}")
        level = self.opt_level
        require(0 <= level <= 3, "compiler.opt_level", f"{level} is out of range", "0, 1, 2 or 3")
