"""Schedules of similar layers, adapted and measured: no search, so seconds a layer.

A layer of which the store has no time by MetaSchedule gets the records of its nearest relatives there.
Records and logs are MetaSchedule's own: each tuner's are of use to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlas import config
from dlas.hardware.target import Target
from dlas.systems.tuners import metaschedule
from dlas.systems.tuners.metaschedule import VERSION, measured, read, request
from dlas.systems.tuners.relatives import relatives_of
from dlas.systems.tuners.search import NOT_MEASURED, Searcher, measure_new
from dlas.systems.tuners.task import Record, Schedules, Tuning, TuningTask
from dlas.systems.tuning_store import TuningStore, whole_lines

NO_RELATIVE = "the store has no schedule of a similar layer that fits"


@dataclass(frozen=True)
class Settings(config.Tuner):
    """How many schedules of its relatives a layer tries."""

    candidates: int = 4

    def __post_init__(self) -> None:
        enough = self.candidates >= 1
        config.require(
            enough, "tuner.candidates", f"{self.candidates} is too few", "1 or more; or tuner=none"
        )


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: Settings, log: Path, store: TuningStore
) -> Tuning:
    """Measure `settings.candidates` of each task that the store has no time of: see
    dlas.systems.tuners.search.

    UserError where the target is neither this machine nor a board elsewhere, or the worker dies.
    """
    shelf = store.shelf(VERSION, target)

    def measure(tasks: Sequence[TuningTask], trials: int, log: Path) -> Generator[dict[str, Any], None, None]:
        relatives = relatives_of(tasks, shelf, read, settings.candidates)
        served = [task for task in tasks if task.key in relatives]
        if served:
            asked = {"relatives": relatives, "candidates": settings.candidates}
            yield from measured(request("transfer", served, target, log, **asked), target)

    searcher = Searcher("Transfer", VERSION, read, measure)
    return measure_new(searcher, tasks, target, settings.candidates, log, store)


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: Target, *, foreign: bool = False
) -> Schedules:
    """As MetaSchedule's; of a task that the log has nothing of, that it had no relative."""
    return without_relatives(metaschedule.best_schedules(log, tasks, target, foreign=foreign), log, read)


def without_relatives(schedules: Schedules, log: Path, read: Callable[[str], Record]) -> Schedules:
    """The same, with the reason for tasks that the log has nothing of: that they had no relative."""
    measured = {read(line).task for line in whole_lines(log.read_text())} if log.exists() else set()
    named = {
        key: NO_RELATIVE if reason == NOT_MEASURED and key not in measured else reason
        for key, reason in schedules.missing.items()
    }
    return replace(schedules, missing=named)
