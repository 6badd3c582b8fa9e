"""Parts of a transfer of schedules between similar layers, for every kind of kernel: its settings,
and its reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dlas import config
from dlas.interfaces.tuning import Record, Schedules
from dlas.systems.tuners.common.search.searcher import NOT_MEASURED
from dlas.systems.tuners.common.tuning_store import whole_lines

NO_RELATIVE = "the store has no schedule of a similar layer that fits"


@dataclass(frozen=True)
class TransferSettings(config.Tuner):
    """Settings of a transfer: how many schedules of its relatives a layer tries."""

    candidates: int = 4

    def __post_init__(self) -> None:
        enough = self.candidates >= 1
        config.require(
            enough, "tuner.candidates", f"{self.candidates} is too few", "1 or more; or tuner=none"
        )


def without_relatives(schedules: Schedules, log: Path, read: Callable[[str], Record]) -> Schedules:
    """The schedules with another reason for tasks that the log has nothing of: they had no relative."""
    measured = {read(line).task for line in whole_lines(log.read_text())} if log.exists() else set()
    named = {
        key: NO_RELATIVE if reason == NOT_MEASURED and key not in measured else reason
        for key, reason in schedules.missing.items()
    }
    return replace(schedules, missing=named)
