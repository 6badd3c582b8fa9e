"""Schedules of similar layers, adapted and measured: no search, so seconds a layer.

A layer of which the store has no time by MetaSchedule gets the records of its nearest relatives there.
Records and logs are MetaSchedule's own: each tuner's are of use to the other.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path

from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.tuners.common.relatives import relatives_of
from dlas.systems.tuners.common.search.searcher import Searcher
from dlas.systems.tuners.common.search.searching import measure_new
from dlas.systems.tuners.common.transferring import TransferSettings, without_relatives
from dlas.systems.tuners.metaschedule import tuner as metaschedule
from dlas.systems.tuners.metaschedule.tuner import VERSION, measured, read, request

Settings = TransferSettings


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: TransferSettings, log: Path, store: TuningRecords
) -> Tuning:
    """Measure `settings.candidates` of each task that the store has no time of: see
    dlas.systems.tuners.common.search.searching.

    UserError where the target is neither this machine nor a board elsewhere, or the worker dies.
    """
    shelf = store.shelf(VERSION, target)

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        relatives = relatives_of(tasks, shelf, read, settings.candidates)
        served = [task for task in tasks if task.key in relatives]
        if served:
            asked = {"relatives": relatives, "candidates": settings.candidates}
            yield from measured(request("transfer", served, known, target=asdict(target), **asked), target)

    searcher = Searcher("Transfer", VERSION, read, measure)
    return measure_new(searcher, tasks, target, settings.candidates, log, store)


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """The fastest schedule of each task in `log`, as MetaSchedule's; a task that the log has nothing of
    had no relative."""
    return without_relatives(metaschedule.best_schedules(log, tasks, target, foreign=foreign), log, read)
