"""Numbers in words: how the sentences of the analysis write them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dlas.analysis.statistics.contrast import Estimate
from dlas.hardware.results.statistics import Interval

MOST_DECIMALS = 4
SMALLEST_P = 0.001
SMALLEST_PERCENT = 0.1


def times(estimate: Estimate) -> str:
    """A ratio with its interval, in the digits that the interval supports: `1.31x [1.22, 1.40]`."""
    interval = estimate.interval
    if interval is None:
        return plain_times(estimate.ratio)
    places = decimals(interval)
    return f"{estimate.ratio:.{places}f}x [{interval.low:.{places}f}, {interval.high:.{places}f}]"


def plain_times(ratio: float) -> str:
    """A ratio without an interval, in three digits: `1.31x`."""
    return f"{ratio:.3g}x"


def decimals(interval: Interval) -> int:
    """Number of decimals of which the last one is the first that the interval leaves open, or the first one
    that its lower end has."""
    half = (interval.high - interval.low) / 2
    if half <= 0:
        return MOST_DECIMALS
    return max(0, min(MOST_DECIMALS, math.ceil(-math.log10(min(half, interval.low)))))


def p_value(p: float) -> str:
    """A p-value as `p = 0.012`, or `p < 0.001`."""
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.2g}"


def percent(part: float) -> str:
    """A part of 1 as a percentage: `12 %`, `0.3 %`, `less than 0.1 %`."""
    value = 100 * part
    if 0 < value < SMALLEST_PERCENT:
        return f"less than {SMALLEST_PERCENT} %"
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def counted(number: int, noun: str) -> str:
    """`1 point`, `2 points`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
