"""Looking at a growing number of sessions repeatedly, with one probability of error over all looks.

levels(information, most, comparisons) -> the significance level at each look
looks(first, count, most) -> the numbers of sessions at which a look is due

The probability is spent as the information grows, whenever the looks are: K. K. G. Lan and D. L. DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 70 (1983). Intervals at these levels hold the
truth at all looks together: C. Jennison and B. W. Turnbull, "Interim analyses: the repeated confidence
interval approach", Journal of the Royal Statistical Society B 51 (1989). The levels are those of a normal
statistic; Student's interval at the same level serves where the spread is estimated (Jennison and Turnbull,
Group Sequential Methods, 2000, section 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

ERROR = 0.05
"""Probability, over all looks, that an interval misses the truth; of several comparisons, that any does."""

GROWTH = 1.4
"""Ratio of the sessions at a look to those at the look before: closer looks cost more than they find."""

GRID = 401
"""Points of the grid, an odd number, on which a density is integrated: the levels hold to 5 digits."""


def spent(fraction: float) -> float:
    """The share of ERROR that may be spent by this fraction of the most information: Lan and DeMets's
    counterpart of Pocock's boundary, which does not wait for the last look."""
    return ERROR * _share(fraction)


def looks(first: int, count: int, most: int) -> tuple[int, ...]:
    """The numbers of sessions at which whoever stops at `count` has looked, `count` being the last."""
    return (*(due for due in _planned(first, most) if due < count), count)


def is_due(count: int, first: int, most: int) -> bool:
    """Whether a look is planned at this number of sessions."""
    return count in _planned(first, most)


def levels(information: Sequence[float], most: float, comparisons: int = 1) -> tuple[float, ...]:
    """The two-sided significance level of the test at each look, of one of so many `comparisons`, each of
    which may spend as much of ERROR (Bonferroni).

    `information` is that at each look, the inverse of an estimate's variance in any unit, and grows; `most`
    is that at the last look that there may be.
    """
    return _levels(tuple(information), most, ERROR / comparisons)


def _share(fraction: float) -> float:
    return math.log(1 + (math.e - 1) * min(fraction, 1.0))


def _planned(first: int, most: int) -> Iterator[int]:
    due = first
    while due < most:
        yield due
        due = max(due + 1, round(due * GROWTH))
    yield most


@lru_cache(maxsize=1024)
def _levels(information: tuple[float, ...], most: float, error: float) -> tuple[float, ...]:
    """By recursive integration over the sums that have not crossed a boundary yet: P. Armitage, C. K.
    McPherson and B. C. Rowe, "Repeated significance tests on accumulating data", Journal of the Royal
    Statistical Society A 132 (1969)."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    first = information[0]
    found = [error * _share(first / most)]
    bound = -ndtri(found[0] / 2) * math.sqrt(first)
    sums = np.linspace(-bound, bound, GRID)
    density = _normal(sums, math.sqrt(first)) * _simpson(sums)
    for before, now in pairwise(information):
        step, may_spend = math.sqrt(now - before), error * (_share(now / most) - _share(before / most))

        def crossing(end: float) -> float:
            outside = ndtr((-end - sums) / step) + ndtr((sums - end) / step)  # noqa: B023
            return float(density @ outside) - may_spend  # noqa: B023

        bound = brentq(crossing, 0.0, 40 * math.sqrt(now))
        found.append(2 * float(ndtr(-bound / math.sqrt(now))))
        following = np.linspace(-bound, bound, GRID)
        passed = _normal(following[:, None] - sums[None, :], step) @ density
        sums, density = following, passed * _simpson(following)
    return tuple(found)


def _normal(values: np.ndarray, deviation: float) -> np.ndarray:
    scaled: np.ndarray = np.exp(-0.5 * (values / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    return scaled


def _simpson(grid: np.ndarray) -> np.ndarray:
    """Weights of Simpson's rule."""
    weights = np.ones(len(grid))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    weights *= (grid[1] - grid[0]) / 3
    return weights
