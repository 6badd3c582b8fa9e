"""The spread between sessions of one library: what a difference between points has to exceed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

Vector: TypeAlias = NDArray[np.float64]

LARGEST_PRIOR = 1e4
"""Degrees of freedom above which the cells' variances count as equal."""

FLOOR = 1e-5
"""Fraction of the median variance below which a variance is raised, as a cell whose few sessions agree by
chance says nothing of its noise (limma does the same)."""


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

    Each cell's variance is drawn to that of all: its own sessions are few, yet one cell may be noisier than
    another. Smyth (2004), Linear models and empirical Bayes methods for assessing differential expression,
    sections 4 and 6.2: the prior's variance and degrees of freedom come from the mean and the variance of the
    logarithms of the cells' variances. A cell with one session has the prior's.
    """
    sessions = np.array([len(cell) for cell in cells], dtype=float)
    own = np.array([np.var(cell, ddof=1) if len(cell) > 1 else 0.0 for cell in cells])
    own_freedom = sessions - 1
    total = float(own_freedom.sum())
    if total == 0 or not own.any():
        return None
    pooled = float(own_freedom @ own) / total
    several = own_freedom > 0
    prior, prior_freedom = _prior(own[several], own_freedom[several], pooled)
    if np.isinf(prior_freedom):
        variances = np.full(len(cells), pooled)
        freedom = np.full(len(cells), total)
    else:
        variances = (prior_freedom * prior + own_freedom * own) / (prior_freedom + own_freedom)
        freedom = np.minimum(prior_freedom + own_freedom, total)
    return Noise(variances, freedom, pooled, round(total), sessions)


def _prior(variances: Vector, freedom: Vector, pooled: float) -> tuple[float, float]:
    """The prior's variance and its degrees of freedom, infinite where the cells differ by chance alone."""
    if len(variances) < 3:
        return pooled, np.inf
    floor = FLOOR * float(np.median(variances)) or FLOOR * pooled
    log = np.log(np.maximum(variances, floor)) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(np.var(log, ddof=1) - np.mean(polygamma(1, freedom / 2)))
    if excess <= polygamma(1, LARGEST_PRIOR / 2):
        return pooled, np.inf
    half = _inverse_trigamma(excess)
    return float(np.exp(np.mean(log) + digamma(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """The x > 0 whose trigamma is `value`."""
    return float(brentq(lambda x: float(polygamma(1, x)) - value, 1e-8, LARGEST_PRIOR))
