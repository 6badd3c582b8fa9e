"""Durations and sizes as people write them: 30d, 12h, 20GB, 500MB."""

from __future__ import annotations

import re
from types import MappingProxyType

from dlas.errors import UserError

SECONDS = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400})
BYTES = MappingProxyType({"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12})
WRITTEN = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[A-Za-z]+)")


def seconds(text: str, key: str) -> float:
    """Seconds of a duration such as 30d; UserError (`key`) for another text."""
    return _value(text, SECONDS, key, "duration", "such as 30d, 12h or 90m")


def size(text: str, key: str) -> int:
    """Bytes of a size such as 20GB; UserError (`key`) for another text."""
    return round(_value(text, BYTES, key, "size", "such as 20GB or 500MB"))


def age_text(age: float) -> str:
    """A number of seconds as a text for people, in the largest unit that it fills."""
    unit = next((unit for unit in ("d", "h", "m") if age >= SECONDS[unit]), "s")
    return f"{max(age, 0) / SECONDS[unit]:.0f} {unit} ago"


def size_text(count: int) -> str:
    """A number of bytes as a text for people, in the largest unit that it fills."""
    unit = next((unit for unit in ("TB", "GB", "MB", "kB") if count >= BYTES[unit]), "B")
    return f"{count / BYTES[unit]:.{0 if unit == 'B' else 1}f} {unit}"


def _value(text: str, units: MappingProxyType[str, int], key: str, kind: str, remedy: str) -> float:
    found = WRITTEN.fullmatch(text)
    if found is None or found["unit"] not in units:
        raise UserError(f"'{text}' is no {kind}", key=key, remedy=remedy)
    return float(found["number"]) * units[found["unit"]]
