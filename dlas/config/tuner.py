"""Layer 5: what searches for schedules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str
