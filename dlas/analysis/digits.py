"""Numbers with the digits that their spread supports, and no more."""

from __future__ import annotations

import math

from dlas.hardware.results.statistics import Interval

FEWEST, MOST = 1, 4
"""Significant digits that a number has at least, and at most."""


def decimals(value: float, interval: Interval | None) -> int:
    """Number of decimals down to the first digit that the interval leaves open, negative for tens.

    A number without an interval, and one whose interval is narrower than `MOST` digits tell, has `MOST`.
    """
    if not value or not math.isfinite(value):
        return 0
    leading = math.floor(math.log10(abs(value)))
    most, fewest = MOST - 1 - leading, FEWEST - 1 - leading
    half = (interval.high - interval.low) / 2 if interval is not None else 0.0
    if not half > 0 or not math.isfinite(half):
        return most
    return max(fewest, min(most, -math.floor(math.log10(half))))


def fixed(value: float, places: int) -> str:
    """The value rounded to so many decimals; negative ones round to tens and hundreds."""
    return f"{round(value, places):.{max(places, 0)}f}"


def supported(value: float, interval: Interval | None = None) -> str:
    """The value with the digits that the interval supports: 12.3456 within 12.1 to 12.6 is 12.3."""
    return fixed(value, decimals(value, interval))


def supported_range(value: float, interval: Interval) -> str:
    """The ends of the value's interval, with one digit more than the value itself has."""
    places = decimals(value, interval) + 1
    return f"{fixed(interval.low, places)} to {fixed(interval.high, places)}"


def scaled_bytes(count: float) -> str:
    """A number of bytes in kB, MB or GB of 1000, with three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{_three(count / size)} {unit}"
    return f"{count:.0f} B"


def scaled_count(count: float) -> str:
    """A count in thousands, millions or billions, with three digits: 14.7 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{_three(count / size)} {unit}"
    return f"{count:.0f}"


def _three(value: float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"
