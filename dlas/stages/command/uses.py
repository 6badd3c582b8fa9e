"""What is known of the runs that took a stored result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GOES_ON = math.inf
"""When a run stopped that has not."""


@dataclass(frozen=True)
class Use:
    """One run that took a result."""

    run_id: str
    status: str
    stopped: float | None
    """When the run, or the sweep that it belongs to, was stopped or failed, in seconds since the epoch;
    `GOES_ON` before that, None where both finished."""


Uses = Mapping[str, Sequence[Use]]
"""By the name of the result."""


def needed(uses: Uses, seconds: float, now: float) -> set[str]:
    """The results of runs and sweeps that are not finished, and may go on: they were stopped, or failed, less
    than so many seconds ago."""
    return {
        name
        for name, found in uses.items()
        if any(use.stopped is not None and now - use.stopped < seconds for use in found)
    }
