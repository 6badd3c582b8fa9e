"""MetaSchedule, TVM's own search over TensorIR schedules, in a process of its own.

A log is lines of `[task, record]`: the task's key and MetaSchedule's own JSON of a tuning record. J. Shao et
al., "Tensor Program Optimization with Probabilistic Programs", NeurIPS 2022.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.hardware.no_torch import with_modules_of_this_process
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Record, Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.tuners.common import worker_process
from dlas.systems.tuners.common.board_questions import board_on_request
from dlas.systems.tuners.common.relatives import SEEDS, relatives_of
from dlas.systems.tuners.common.search.log import foreign_log, require_records
from dlas.systems.tuners.common.search.searcher import NOT_MEASURED, Searcher, not_searchable, searchable
from dlas.systems.tuners.common.search.searching import search
from dlas.systems.tuners.common.search.settings import SearchSettings
from dlas.systems.tuners.common.worker_process import Reply, no_questions, records_of

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

Settings = SearchSettings

VERSION = f"metaschedule-{version('apache-tvm')}"
"""Name in the store."""

TRIED_AT_MOST = 4
"""Schedules to look at, from the fastest on, for one that still applies."""

FAILED_SECONDS = 1e9
"""Seconds from which on a record's time means failure: MetaSchedule records 1e10 for a candidate
that did not run."""


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: SearchSettings, log: Path, store: TuningRecords
) -> Tuning:
    """Search until `settings.trials` candidates are measured: see `search`.

    On a board elsewhere each candidate runs there. UserError where the target is neither this machine nor
    such a board, or the worker dies.
    """

    shelf = store.shelf(VERSION, target)

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        options = {"population": settings.population, "generations": settings.generations}
        relatives = relatives_of(tasks, shelf, read, SEEDS)
        told = {"target": asdict(target), "trials": trials, "relatives": relatives}
        asked = request("tune", tasks, known, **told, **options)
        return measured(asked, target)

    searcher = Searcher("MetaSchedule", VERSION, read, measure)
    return search(searcher, tasks, target, settings.trials, log, store, settings.patience)


def read(line: str) -> Record:
    """The record in a line of a log; an exception where it is none."""
    task, (_, seconds, _, _) = json.loads(line)
    mean = sum(seconds) / len(seconds)
    return Record(task, mean if mean < FAILED_SECONDS else None)


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """The fastest schedule of each task in `log`, applied anew by the worker.

    One that no longer applies gives way to the next fastest, and the reason is told. UserError where the log
    was measured for another target, unless a `foreign` one is asked for.
    """
    from tvm.ir import load_json

    fixed = not_searchable(tasks, "MetaSchedule")
    tasks = searchable(tasks)
    found: dict[str, PrimFunc] = {}
    refused: dict[str, tuple[str, ...]] = {}
    require_records(log, "MetaSchedule", read)
    if tasks and log.exists() and log.stat().st_size:
        asked = request("replay", tasks, log, code=asdict(target), best=TRIED_AT_MOST, foreign=foreign)
        with closing(answers(asked, target.cores)) as schedules:
            for schedule in schedules:
                if "foreign" in schedule:
                    raise foreign_log(log, schedule["foreign"], target)
                key = schedule["task"]
                if "function" in schedule:
                    found[key] = load_json(schedule["function"])
                else:
                    refused[key] = (*refused.get(key, ()), schedule["refused"])
    missing = fixed | {
        task.key: "; ".join(refused.get(task.key, ())) or NOT_MEASURED
        for task in tasks
        if task.key not in found
    }
    return Schedules(found, missing, refused)


def request(command: str, tasks: Sequence[TuningTask], log: Path, **more: object) -> dict[str, Any]:
    """The worker's request."""
    return {
        "command": command,
        "tasks": [
            {"workload": task.workload.key, "algorithm": task.algorithm, "count": task.count}
            for task in tasks
        ],
        "log": str(log.resolve()),
        **more,
    }


def measured(request: Mapping[str, Any], target: Target) -> Generator[list[str], None, None]:
    """Records of a worker's search as they come; it has the board for itself while it times candidates."""
    threads = target.placement.threads
    with board_on_request(target) as reply, closing(answers(request, threads, reply)) as told:
        yield from records_of(told)


def answers(
    request: Mapping[str, Any], threads: int, reply: Reply = no_questions
) -> Generator[dict[str, Any], None, None]:
    """Ask a worker and yield its answers as they come: see worker_process.ask."""
    environment = with_modules_of_this_process({**os.environ, "TVM_NUM_THREADS": str(threads)})
    command = [sys.executable, "-m", "dlas.systems.tuners.metaschedule.worker"]
    return worker_process.ask("MetaSchedule", command, environment, request, reply)
