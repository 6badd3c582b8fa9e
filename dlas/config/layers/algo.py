"""Layer 4: the algorithm of the convolutions."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlas.config.layers.compiler import OWN
from dlas.errors import require
from dlas.plugins.registry import ALGORITHMS


@dataclass(frozen=True)
class Algo:
    """Layer 4. `module` offers the functions of `dlas.algorithms`; or each layer gets the fastest of
    `candidates`, as measured on the target. Each is a name of the registry or a dotted path."""

    name: str
    module: str | None = None
    """A name of the registry or a dotted path; null for that of `name`, or beside candidates."""
    candidates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        one = self.module is None or not self.candidates
        require(one, "algo.module", "is one algorithm, or null beside algo.candidates", "one of the two")
        candidates = self.candidates
        twice = f"{candidates} has one of them twice"
        require(len({*candidates}) == len(candidates), "algo.candidates", twice, "each once")
        named_one = bool(candidates) and self.name in ALGORITHMS.names()
        problem = f"is several, and algo={self.name} is one of them"
        require(not named_one, "algo.candidates", problem, "algo=auto beside it")

    @property
    def algorithms(self) -> list[str]:
        """Algorithms, one for every layer or those that a layer may choose from, by what a bundle calls them:
        their names in the registry, or the dotted paths of a user's own; none beside a compiler with
        kernels of its own."""
        if self.name == OWN:
            return []
        one = self.name if self.module is None else self.module
        return [ALGORITHMS.name(given) for given in self.candidates or [one]]
