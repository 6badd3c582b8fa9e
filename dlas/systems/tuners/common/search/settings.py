"""Settings of a search."""

from __future__ import annotations

from dataclasses import dataclass

from dlas import config
from dlas.errors import UserError


@dataclass(frozen=True)
class SearchSettings(config.Tuner):
    """Settings of a search: how much to measure, and how thoroughly to search between measurements."""

    trials: int = 128
    """Candidates to measure for the whole model, spread over its layers; those in the store count."""
    population: int = 64
    """Candidates that the cost model ranks in each generation."""
    generations: int = 2
    """Generations of the evolutionary search before each round of measurements."""
    patience: int = 256
    """Trials without a gain after which the search ends: in so many the layers' time fell
    by less than 1 %."""

    def __post_init__(self) -> None:
        for name in ("trials", "population", "generations", "patience"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"{getattr(self, name)} is too few",
                    key=f"tuner.{name}",
                    remedy="Give 1 or more, or choose tuner=none to keep the untuned schedules.",
                )
