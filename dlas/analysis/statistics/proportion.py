"""The part of all cases in which something holds, from those that were seen."""

from __future__ import annotations

import math

from scipy.special import ndtri

from dlas.hardware.results.statistics import CONFIDENCE, Interval


def wilson(held: int, cases: int) -> Interval:
    """The score interval of Wilson (1927), Probable inference, the law of succession, and statistical
    inference; from 0 to 1 without a case."""
    if not cases:
        return Interval(0.0, 1.0)
    z = float(ndtri((1 + CONFIDENCE) / 2))
    part = held / cases
    centre = (part + z**2 / (2 * cases)) / (1 + z**2 / cases)
    reach = z / (1 + z**2 / cases) * math.sqrt(part * (1 - part) / cases + z**2 / (4 * cases**2))
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))


def most_where_none_was_seen(cases: int) -> float:
    """The largest part of all cases that goes with none in so many: 3 / n (Hanley and Lippman-Hand 1983, If
    nothing goes wrong, is everything all right?)."""
    return min(1.0, 3 / cases) if cases else 1.0
