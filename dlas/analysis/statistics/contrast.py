"""Differences of cells' mean log latencies, with what the noise lets one say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.statistics import noise as noises
from dlas.analysis.statistics.noise import Drift, Noise, Vector
from dlas.hardware.results.statistics import CONFIDENCE, Interval


@dataclass(frozen=True)
class Estimate:
    """A difference of log latencies. Its exponential is a ratio of latencies."""

    log: float
    error: float | None = None
    """Standard error; None where the sessions give none."""
    freedom: float = math.inf
    """Degrees of freedom of the error."""

    @property
    def ratio(self) -> float:
        return math.exp(self.log)

    @property
    def interval(self) -> Interval | None:
        """Interval of the ratio by Student's t, at `CONFIDENCE`; None without an error."""
        from scipy.special import stdtrit

        if self.error is None:
            return None
        reach = float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error
        return Interval(math.exp(self.log - reach), math.exp(self.log + reach))

    @property
    def t(self) -> float | None:
        """The difference in standard errors."""
        return self.log / self.error if self.error else None

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value of there being no difference; None without an error."""
        return None if self.t is None else 2 * self._below(-abs(self.t))

    @property
    def below_one(self) -> float | None:
        """One-sided p-value of the ratio not being below 1."""
        return None if self.t is None else self._below(self.t)

    @property
    def above_one(self) -> float | None:
        """One-sided p-value of the ratio not being above 1."""
        return None if self.t is None else self._below(-self.t)

    def _below(self, t: float) -> float:
        """The probability of Student's t below this."""
        from scipy.special import stdtr

        return float(stdtr(self.freedom, t))


def estimate(weights: Vector, means: Vector, noise: Noise | None, cells: NDArray[np.intp]) -> Estimate:
    """The weighted sum of the cells' means, `weights` and `means` those of `cells`, which are positions in
    `noise`.

    Cells may differ in noise: of two cells this is Welch's t, of more the degrees of freedom are those of
    Satterthwaite (1946), An approximate distribution of estimates of variance components. The drift of all
    cells is one such component.
    """
    log = float(weights @ means)
    if noise is None:
        return Estimate(log)
    parts = weights**2 * noise.of_means[cells]
    drift = float(weights**2 @ noise.drift[cells])
    variance = float(parts.sum()) + drift
    freedom = variance**2 / float((parts**2 / noise.freedom[cells]).sum() + drift**2 / noise.drift_freedom)
    return Estimate(log, math.sqrt(variance), freedom)


def of_sessions(
    over: Sequence[Sequence[float]],
    under: Sequence[Sequence[float]] = (),
    drifts: Sequence[Drift] = (),
) -> Estimate:
    """The product of the latencies of some cells over that of others, each given by the log latencies of its
    sessions, from whose spread the error comes, and from the cells' drifts where there are any: those of
    `over` first."""
    logs = [*over, *under]
    weights = np.array([1.0] * len(over) + [-1.0] * len(under))
    means = np.array([np.mean(cell) for cell in logs])
    return estimate(weights, means, noises.estimate(logs, drifts), np.arange(len(logs), dtype=np.intp))
