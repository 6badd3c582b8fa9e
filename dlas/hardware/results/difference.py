"""How much longer one library takes than another, by the logarithms of their sessions' medians.

of_ratios(ratios), of_groups(new, old) -> Difference; difference.interval(level) -> Interval of the ratio

A session is a fresh process; its median is one number. Ratios of times are differences of logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlas.hardware.results.statistics import Interval

POWER = 0.8
"""Share of comparisons that must see a difference for it to count as one that could be seen: Cohen,
Statistical Power Analysis (1988)."""


@dataclass(frozen=True)
class Difference:
    """An estimated difference of mean logarithms, new less old, with Student's distribution about it."""

    mean: float
    error: float
    """Standard error of the mean."""
    freedom: float
    """Degrees of freedom of the error."""

    @property
    def ratio(self) -> float:
        """New over old: above 1 the new one is slower."""
        return math.exp(self.mean)

    def interval(self, level: float) -> Interval:
        """The interval of the ratio that misses the truth with probability `level`."""
        half = self._quantile(1 - level / 2) * self.error
        return Interval(math.exp(self.mean - half), math.exp(self.mean + half))

    def smallest_seen(self, level: float) -> float:
        """The ratio that a test at this level would have told from 1 in `POWER` of the cases."""
        return math.exp((self._quantile(1 - level / 2) + self._quantile(POWER)) * self.error)

    def less_sure(self, deviation: float) -> Difference:
        """The same difference, about which there is a further doubt of this standard deviation, whatever the
        number of sessions."""
        return replace(self, error=math.hypot(self.error, deviation))

    def _quantile(self, probability: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, probability))


def of_ratios(ratios: Sequence[float]) -> Difference:
    """The difference that ratios tell, new over old, each measured by itself: what both sides met cancels.
    At least two."""
    logs = np.log(ratios)
    return Difference(float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(logs.size), logs.size - 1)


def of_groups(new: Sequence[float], old: Sequence[float]) -> Difference:
    """The difference of two groups of at least two values each, the older of which is given once and for all.

    B. L. Welch, "The generalization of Student's problem", Biometrika 34 (1947), on the safe side: `old` is
    taken to vary as much as `new` at least, for by its small variance a yardstick may have been chosen; and
    the degrees of freedom are no more than those of `new`.
    """
    fresh, given = np.log(new), np.log(old)
    of_new = fresh.var(ddof=1) / fresh.size
    of_old = max(given.var(ddof=1), fresh.var(ddof=1)) / given.size
    variance = of_new + of_old
    parts = of_new**2 / (fresh.size - 1) + of_old**2 / (given.size - 1)
    freedom = min(variance**2 / parts, fresh.size - 1) if parts > 0 else fresh.size - 1
    return Difference(float(fresh.mean() - given.mean()), math.sqrt(variance), freedom)
