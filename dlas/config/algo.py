"""Layer 4: the algorithm of the convolutions."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlas.errors import require


@dataclass(frozen=True)
class Algo:
    """Layer 4. `module` offers the functions of `dlas.algorithms`; or each layer gets the fastest of
    `candidates`, as measured on the target."""

    name: str
    module: str | None = None
    candidates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        one = (self.module is None) != (not self.candidates)
        require(one, "algo.module", "is one algorithm, or null beside algo.candidates", "one of the two")

    @property
    def modules(self) -> list[str]:
        """One for every layer, or those that a layer may choose from."""
        return self.candidates if self.module is None else [self.module]
