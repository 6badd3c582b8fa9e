"""Durations as a person reads them."""

from __future__ import annotations

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
"""Units and their lengths in seconds, the largest first."""


def told(seconds: float) -> str:
    """The duration by its two largest units: `45 s`, `2 min 10 s`, `3 h`, `2 d 4 h`."""
    left = max(round(seconds), 0)
    parts: list[tuple[int, str]] = []
    for unit, length in UNITS:
        count, left = divmod(left, length)
        if parts or count:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"
