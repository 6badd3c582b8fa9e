"""What a difference between points has to exceed: the spread between sessions of one library, and what is not
known of the machine's pace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """What all sessions of a point share and so don't show: how far the machine's pace beside them may be
    another than it is taken for."""

    variance: float = 0.0
    """Variance of a point's mean log latency by it."""
    freedom: float = math.inf
    """Degrees of freedom of that variance."""


NO_DRIFT = Drift()


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
    drift: Vector
    """Variance of each cell's mean beside what its sessions show."""
    drift_freedom: float
    """Degrees of freedom of all of these together."""

    @property
    def of_means(self) -> Vector:
        """Variance of each cell's mean over its sessions, as far as they show it."""
        return self.variances / self.sessions

    @property
    def between(self) -> Drift:
        """The mean square between cells that differ in nothing, each session counting as a value; its degrees
        of freedom are those of Satterthwaite (1946)."""
        drift = float(self.drift.mean() * self.sessions.mean())
        variance = self.pooled + drift
        parts = self.pooled**2 / self.pooled_freedom + drift**2 / self.drift_freedom
        return Drift(variance, variance**2 / parts)


def estimate(cells: Sequence[Sequence[float]], drifts: Sequence[Drift] = ()) -> Noise | None:
    """The noise of cells by the values of their sessions, as logarithms, and by the drift of each, none where
    none is given; None where no cell has two sessions that differ.

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
        np.where(known, own, pooled),
        np.where(known, freedom, total),
        pooled,
        round(total),
        sessions,
        np.array([drift.variance for drift in drifts] or [0.0] * len(cells)),
        min((drift.freedom for drift in drifts if drift.variance), default=math.inf),
    )
