"""Rank correlations, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from dlas.analysis.statistics.noise import Vector
from dlas.hardware.results.statistics import CONFIDENCE, Interval

FEWEST, LARGEST = 10, 0.95
"""Fewest pairs, and largest correlation, for which Bonett and Wright (2000) found their interval right."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over several groups of pairs."""

    value: float
    interval: Interval
    pairs: int


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties by their mean rank; None where one side doesn't vary."""
    mine, theirs = _ranks(one), _ranks(other)
    if np.ptp(mine) == 0 or np.ptp(theirs) == 0:
        return None
    return float(np.corrcoef(mine, theirs)[0, 1])


def pooled(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Correlation | None:
    """The correlation within groups, over all groups that have `FEWEST` pairs; None without such a group. One
    beyond `LARGEST` counts as that.

    Fisher's z of each, weighted by its pairs less 3 (Hedges and Olkin 1985, Statistical Methods for
    Meta-Analysis, section 11.B). The variance of z for ranks, (1 + r²/2) / (n - 3), is that of Bonett and
    Wright (2000), Sample size requirements for estimating Pearson, Kendall and Spearman correlations.
    """
    found = [(spearman(one, other), len(one)) for one, other in groups if len(one) >= FEWEST]
    known = [(value, pairs) for value, pairs in found if value is not None]
    if not known:
        return None
    weights = np.array([pairs - 3.0 for _, pairs in known])
    z = np.arctanh(np.clip([value for value, _ in known], -LARGEST, LARGEST))
    mean = float(weights @ z / weights.sum())
    value = math.tanh(mean)
    reach = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt((1 + value**2 / 2) / weights.sum())
    interval = Interval(math.tanh(mean - reach), math.tanh(mean + reach))
    return Correlation(value, interval, sum(pairs for _, pairs in known))


def _ranks(values: Sequence[float]) -> Vector:
    """Ranks from 1 on, of equal values their mean. SciPy's come with all of its distributions, and importing
    these takes seconds."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Vector = (last - (count - 1) / 2)[place]
    return mean
