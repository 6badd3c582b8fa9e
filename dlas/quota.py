"""The cores' worth of time that Linux grants this process: a container that sees 64 cores may have that of 2.

Neither Python, nor PyTorch, nor TVM asks for it; with a thread for each core that they see, all threads are
stopped for most of each period. Sources: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

GROUPS, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
THREADS = "OMP_NUM_THREADS"
"""The variable by which PyTorch, its libraries and TVM are told how many threads to use."""


def cores(groups: Path = GROUPS, mounted: Path = MOUNTED) -> int | None:
    """Whole cores, 1 at least, that the tightest quota of this process is worth; None where it has none."""
    granted = [quota for folder in _folders(groups, mounted) if (quota := _quota(folder)) is not None]
    return max(int(min(granted)), 1) if granted else None


def follow(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have this process and those that it starts use no more threads than there are cores' worth of time,
    unless the environment tells a number; before PyTorch is imported."""
    granted = cores()
    if granted is not None and granted < (os.cpu_count() or 1):
        environment.setdefault(THREADS, str(granted))


def _folders(groups: Path, mounted: Path) -> Iterator[Path]:
    """Where the quotas of this process's group, and of those above it, may lie. A container sees its own
    group as the topmost, whatever its path."""
    for line in (_text(groups) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mounted / controllers
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _quota(folder: Path) -> float | None:
    told = (_text(folder / "cpu.max") or "").split()
    if not told:
        told = [_text(folder / f"cpu.cfs_{part}_us") or "" for part in ("quota", "period")]
    quota, period = (int(part) if part.isdigit() else 0 for part in told)
    return quota / period if quota and period else None


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
