"""The spread between sessions of one library: what a difference between points has to exceed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Variance of a session's log latency in each cell of a grid, and how well it is known."""

    variances: Vector
    """One for each cell: of a single session."""
    freedom: Vector
    """Degrees of freedom of each."""
    pooled: float
    """The cells' variances in one, weighted by their degrees of freedom."""
    pooled_freedom: int
    """Sessions over all cells, less one a cell."""
    sessions: Vector
    """Number of sessions of each cell."""

    @property
    def of_means(self) -> Vector:
        """Variance of each cell's mean over its sessions."""
        return self.variances / self.sessions


def estimate(cells: Sequence[Sequence[float]]) -> Noise | None:
    """The noise of cells by the values of their sessions, as logarithms; None where no cell has two that
    differ.

    Each cell has the variance of its own sessions, as one point may be noisier than another. A cell with a
    single session, or with sessions that agree to the last digit, has that of all cells together.
    """
    sessions = np.array([len(cell) for cell in cells], dtype=float)
    own = np.array([np.var(cell, ddof=1) if len(cell) > 1 else 0.0 for cell in cells])
    if not own.any():
        return None
    freedom = sessions - 1
    total = float(freedom.sum())
    pooled = float(freedom @ own) / total
    known = own > 0
    return Noise(
        np.where(known, own, pooled), np.where(known, freedom, total), pooled, round(total), sessions
    )
