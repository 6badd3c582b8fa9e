"""The runs that used a stored result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """A run that used a result."""

    run_id: str
    status: str
    stopped: float | None
    """Time at which the run, or its sweep, was stopped or failed, in seconds since the epoch; infinite before
    that, None where both finished."""


Uses = Mapping[str, Sequence[Use]]
"""The runs that used each result, by its name."""


def needed(uses: Uses, seconds: float, now: float) -> set[str]:
    """The results that unfinished runs and sweeps may still need: those that go on, and those that were
    stopped, or failed, less than `seconds` ago."""
    return {
        name
        for name, found in uses.items()
        if any(use.stopped is not None and now - use.stopped < seconds for use in found)
    }
