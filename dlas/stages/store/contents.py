"""The contents of a store: results, of whatever version, and what interrupted work left there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlas.stages.store.entry import ENTRY
from dlas.stages.store.store import CHECKPOINT, DAMAGED, LOCK, REMOVED, UNFINISHED

LEFT_BEHIND = (UNFINISHED, CHECKPOINT, DAMAGED, REMOVED, LOCK)


@dataclass(frozen=True)
class Stored:
    """An entry of a store: a result, or something that was left behind."""

    path: Path
    bytes: int
    used: float
    """Time of the last use, or the last change, in seconds since the epoch."""

    @property
    def name(self) -> str:
        """Name of the entry in the store: `<stage>/<key>`."""
        return f"{self.path.parent.name}/{self.path.name}"


def results(root: Path) -> list[Stored]:
    """Every finished result, by stage and key."""
    return [_stored(path) for path in _paths(root) if path.is_dir() and path.suffix not in LEFT_BEHIND]


def left_behind(root: Path) -> list[Stored]:
    """Unfinished and damaged results, checkpoints, and locks, held or not."""
    return [_stored(path) for path in _paths(root) if path.suffix in LEFT_BEHIND]


def checkpoints(root: Path) -> list[Stored]:
    """What interrupted work goes on from."""
    return [each for each in left_behind(root) if each.path.suffix == CHECKPOINT]


def _paths(root: Path) -> list[Path]:
    return sorted(path for stage in root.glob("*") if stage.is_dir() for path in stage.iterdir())


def used(path: Path) -> float:
    """Time at which a result was last used, or what was left behind was last changed."""
    mark = path / ENTRY
    found = [mark] if mark.exists() else [path, *path.rglob("*")]
    return max(each.stat().st_mtime for each in found)


def _stored(path: Path) -> Stored:
    files = path.rglob("*") if path.is_dir() else [path]
    return Stored(path, sum(each.stat().st_size for each in files if each.is_file()), used(path))
