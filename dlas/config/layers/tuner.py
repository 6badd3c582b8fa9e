"""Layer 5: what searches for schedules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlas.plugins.registry import TUNERS


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str | None = None
    """A name of dlas.plugins.registry.TUNERS, or a dotted path; null for that of the name."""

    @property
    def registered(self) -> str:
        """Name of the tuner in a bundle: its name in the registry, or the dotted path of a user's own."""
        return TUNERS.name(self.name if self.module is None else self.module)

    @property
    def implementation(self) -> str:
        """The dotted path of the module."""
        return TUNERS.path(self.registered)

    @property
    def worker_files(self) -> tuple[Path, ...]:
        """The code of other environments that it works by, which no import tells of."""
        return ()
