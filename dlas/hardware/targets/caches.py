"""The caches of this machine, as Linux tells of them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import psutil

from dlas.hardware.targets import machine

UNITS = MappingProxyType({"K": 1 << 10, "M": 1 << 20})

MAX_BYTES = 64 << 20
"""Bytes assumed of the largest cache where the system tells none: most machines have at most that."""


def largest_bytes() -> int:
    """Bytes of the largest cache of the first core; where it is not told, what most machines have at most."""
    known = [size for folder in _folders(0) if (size := _size(folder)) is not None]
    return min(max(known, default=MAX_BYTES), int(psutil.virtual_memory().available) // 4)


def l2_bytes(cpu: int) -> int | None:
    """Bytes of the second-level cache that a logical CPU reads through, the share of its core; None where the
    system tells none. In a virtual machine it may be one that can't be."""
    for folder in _folders(cpu):
        size = _size(folder)
        if _text(folder / "level") == "2" and size is not None:
            shared = machine.first_threads(_numbers(_text(folder / "shared_cpu_list") or str(cpu)))
            return size // len(shared)
    return None


def _folders(cpu: int) -> list[Path]:
    return sorted((machine.CPU_FOLDERS / f"cpu{cpu}" / "cache").glob("index*"))


def _size(folder: Path) -> int | None:
    told = _text(folder / "size")
    return int(told[:-1]) * UNITS[told[-1]] if told[-1:] in UNITS and told[:-1].isdigit() else None


def _numbers(ranges: str) -> list[int]:
    """Numbers of a list as the kernel writes it: `0-3,8`."""
    found: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
