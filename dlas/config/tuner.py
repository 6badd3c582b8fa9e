"""Layer 5: what searches for schedules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str

    @property
    def worker_files(self) -> tuple[Path, ...]:
        """The code of other environments that it works by, which no import tells of."""
        return ()
