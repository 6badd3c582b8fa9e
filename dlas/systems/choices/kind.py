"""A kind of kernel, as it is declared for a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """An algorithm, by its name, and a format of the weights."""

    algorithm: str
    weight_format: str

    @property
    def name(self) -> str:
        """Name for people: `direct`, `direct in csr`."""
        short = self.algorithm.rpartition(".")[2]
        return short if self.weight_format == "dense" else f"{short} in {self.weight_format}"


def kinds_of(algorithms: Sequence[str], formats: Sequence[str]) -> tuple[Kind, ...]:
    """Every algorithm with every format of weights."""
    return tuple(Kind(algorithm, name) for algorithm in algorithms for name in formats)
