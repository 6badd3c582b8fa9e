"""One-way analysis of variance: whether groups of values differ by more than the values within them do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class OneWay:
    """The analysis of some groups: two or more, in which two values or more can differ."""

    between: float
    """Mean square between the groups."""
    within: float
    """Mean square within them."""
    freedom_between: int
    freedom_within: int
    size: float
    """Values in a group; of groups of different sizes, as many as the mean square between them counts."""

    @property
    def p_value(self) -> float:
        """P-value of Fisher's F test that the groups have one mean."""
        if self.within == 0:
            return 0.0 if self.between > 0 else 1.0
        return float(fdtrc(self.freedom_between, self.freedom_within, self.between / self.within))


def analysis(groups: Sequence[Vector]) -> OneWay:
    """The analysis of these groups."""
    sizes = np.array([len(group) for group in groups])
    values = np.concatenate(groups)
    means = np.add.reduceat(values, np.cumsum(sizes) - sizes) / sizes
    total = float(sizes.sum())
    freedom_between, freedom_within = len(groups) - 1, round(total) - len(groups)
    between = float(sizes @ (means - sizes @ means / total) ** 2) / freedom_between
    within = float(((values - np.repeat(means, sizes)) ** 2).sum())
    size = (total - float((sizes**2).sum()) / total) / freedom_between
    return OneWay(between, within / freedom_within, freedom_between, freedom_within, size)
