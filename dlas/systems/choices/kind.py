"""A kind of kernel, as it is declared for a layer."""

from __future__ import annotations

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
