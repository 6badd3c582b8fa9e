"""Clearing of a store: results unused for long or beyond a size, and what dead processes left."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dlas.stages.store import contents
from dlas.stages.store.contents import Stored
from dlas.stages.store.store import CHECKPOINT, LOCK, REMOVED, with_suffix

FRESH_SECONDS = 600.0
"""Age below which a result is never removed: whoever used it since may be reading it at this moment."""

LEFT_SECONDS = 86400.0
"""Age at which unfinished files and damaged results are removed whatever the limits. Checkpoints, which may
have hours of work in them, stay as long as results do."""


@dataclass(frozen=True)
class Limits:
    """Limits of a store: what is beyond them is removed."""

    seconds: float
    """Seconds since a result was last used."""
    bytes: int
    """Bytes of all results together."""


@dataclass(frozen=True)
class Cleared:
    """Entries of a store that were removed or, with `dry`, would be."""

    results: Sequence[Stored]
    left_behind: Sequence[Stored]
    """Unfinished and damaged results, and checkpoints; no locks, which take no room."""

    @property
    def bytes(self) -> int:
        """Bytes of all these entries."""
        return sum(each.bytes for each in (*self.results, *self.left_behind))


def clear(root: Path, limits: Limits, needed: Collection[str], now: float, *, dry: bool) -> Cleared:
    """Remove what is beyond the limits, the least recently used first; with `dry` nothing, only tell.

    What stays: results whose names are `needed`, those that are being made or were used a moment ago.
    """
    chosen = beyond(contents.results(root), limits, needed, now)
    left = [each for each in contents.left_behind(root) if now - each.used > _kept_seconds(each, limits)]
    removed = [each for each in chosen if _removed(each, now, dry)]
    cleared = [each for each in left if _left_removed(each, dry)]
    return Cleared(removed, [each for each in cleared if each.path.suffix != LOCK])


def _kept_seconds(left: Stored, limits: Limits) -> float:
    """Age from which on something that was left behind goes; a lock goes whenever nobody holds it."""
    if left.path.suffix == LOCK:
        return -math.inf
    return limits.seconds if left.path.suffix == CHECKPOINT else min(limits.seconds, LEFT_SECONDS)


def beyond(results: Sequence[Stored], limits: Limits, needed: Collection[str], now: float) -> list[Stored]:
    """The results that are beyond the limits, the least recently used first."""
    by_use = sorted(results, key=lambda each: each.used)
    free = [each for each in by_use if each.name not in needed and now - each.used >= FRESH_SECONDS]
    excess = sum(each.bytes for each in results) - limits.bytes
    chosen = []
    for each in free:
        if now - each.used >= limits.seconds or excess > 0:
            chosen.append(each)
            excess -= each.bytes
    return chosen


def _removed(stored: Stored, now: float, dry: bool) -> bool:
    """Remove a result; whether it is gone or, with `dry`, would be. One that is being made, or was used since
    it was listed, stays.

    It is renamed first: a removal that is cut off leaves no half of a result.
    """
    with _held(with_suffix(stored.path, LOCK)) as held:
        if not held or not stored.path.exists() or contents.used(stored.path) > stored.used:
            return False
        if not dry:
            aside = with_suffix(stored.path, REMOVED)
            shutil.rmtree(aside, ignore_errors=True)
            stored.path.rename(aside)
            shutil.rmtree(aside)
    return True


def _left_removed(stored: Stored, dry: bool) -> bool:
    """Remove what was left behind; whether it is gone or, with `dry`, would be. It stays where a process
    holds its lock."""
    with _held(stored.path.with_suffix(LOCK)) as held:
        if held and not dry:
            if stored.path.is_dir():
                shutil.rmtree(stored.path)
            else:
                stored.path.unlink(missing_ok=True)
    return held


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Take the lock for the block, unless another process has it; yields whether it was free. A lock file
    that was not there before is gone afterwards."""
    there = path.exists()
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
        if not there:
            path.unlink(missing_ok=True)
    finally:
        lock.release()
