"""Layer 4: how weights are stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlas.config.layers.compiler import OWN
from dlas.errors import require

SINGLE_FORMATS = ("dense", "csr", "bsr", "channel_index")
FORMATS = (*SINGLE_FORMATS, "auto")


@dataclass(frozen=True)
class Format:
    """Layer 4. How the weights are stored; auto is the fastest of `candidates`, layer by layer."""

    name: str
    block: list[int] = field(default_factory=lambda: [8, 1])
    """bsr: output channels by elements of the (I, H, W) filter."""
    candidates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = self.name in (*FORMATS, OWN)
        require(known, "format.name", f"'{self.name}' is not built", f"one of: {', '.join(FORMATS)}")
        block = self.block
        right = len(block) == 2 and min(block) >= 1
        require(right, "format.block", f"{block} is no block", "rows and columns, such as [8,1]")
        wrong = [name for name in self.candidates if name not in SINGLE_FORMATS]
        remedy = f"a list of: {', '.join(SINGLE_FORMATS)}"
        require(not wrong, "format.candidates", f"{wrong} cannot be chosen", remedy)
        twice = f"{self.candidates} has one of them twice"
        require(len({*self.candidates}) == len(self.candidates), "format.candidates", twice, "each once")
        require(self.name != "auto" or bool(self.candidates), "format.candidates", "is empty", remedy)

    @property
    def formats(self) -> list[str]:
        """Formats as a workload names them: one for every layer, or those that a layer may choose from; none
        beside a compiler with kernels of its own."""
        if self.name == OWN:
            return []
        names = self.candidates if self.name == "auto" else [self.name]
        rows, columns = self.block
        return [f"bsr{rows}x{columns}" if name == "bsr" else name for name in names]
