"""Ansor, TVM 0.19's auto-scheduler: sketches, evolutionary search and a learned cost model over TE computes.

Ansor left TVM after 0.19, so it runs in an environment and a process of its own (workers/ansor); its
schedules are carried into this TVM as text, to be measured on a board or to be built. L. Zheng et al.,
"Ansor: Generating High-Performance Tensor Programs for Deep Learning", OSDI 2020.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.hardware.targets.machine import usable_cores
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Record, Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.tuners.ansor.carry_over import CannotCarry, carry_over
from dlas.systems.tuners.ansor.worker import answers, worker_files
from dlas.systems.tuners.common.board_questions import board_on_request
from dlas.systems.tuners.common.relatives import SEEDS, relatives_of
from dlas.systems.tuners.common.search.log import foreign_log, require_records
from dlas.systems.tuners.common.search.searcher import NOT_MEASURED, Searcher, not_searchable, searchable
from dlas.systems.tuners.common.search.searching import search
from dlas.systems.tuners.common.search.settings import SearchSettings
from dlas.systems.tuners.common.worker_process import records_of

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


@dataclass(frozen=True)
class Settings(SearchSettings):
    """Settings of Ansor: those of every search."""

    @property
    def worker_files(self) -> tuple[Path, ...]:
        """The files of the worker's code, and those that its environment is made from."""
        return worker_files()


VERSION = "ansor-0.19"
"""Name in the store: Ansor of another TVM may write other records."""

CARRIED_AT_MOST = 4
"""Schedules to look at, from the fastest on, for one that can be carried over."""

SAMPLED_AT_LEAST = 16
"""Random schedules that an evolutionary search starts from: of fewer, all may turn out to be invalid."""

MODEL_FROM = 8
"""Measurements after which the cost model's word counts; before, candidates are picked at random."""

REPEAT_MS = 20
"""The least time that one of a candidate's three timings covers, milliseconds."""

SEED = 1
"""Seed of the search; what it finds still depends on the times that it measures."""


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: SearchSettings, log: Path, store: TuningRecords
) -> Tuning:
    """Search until `settings.trials` candidates are measured: see `search`.

    On a board elsewhere each candidate runs there. UserError where the target is neither this machine nor
    such a board, or the worker can't be started or dies.
    """
    options = {
        "sampled": max(SAMPLED_AT_LEAST, settings.population // 8),
        "population": settings.population,
        "generations": settings.generations,
        "model_from": MODEL_FROM,
        "repeat_ms": REPEAT_MS,
        "seeds": SEEDS,
    }
    shelf = store.shelf(VERSION, target)
    fixed = {"algorithms": sorted({task.algorithm for task in tasks}), "search": options, "seed": SEED}

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        relatives = relatives_of(tasks, shelf, read, SEEDS)
        asked = {**fixed, "trials": trials, "relatives": relatives}
        with closing(_measured(_request("tune", tasks, target.code, known, **asked), target)) as told:
            yield from records_of(told)

    searcher = Searcher("Ansor", VERSION, read, measure)
    return search(searcher, tasks, target, settings.trials, log, store, settings.patience)


def _measured(request: dict[str, Any], target: Target) -> Generator[dict[str, Any], None, None]:
    """The worker's answers during a search, its candidates timed here or on the board elsewhere."""
    if target.reach.is_local:
        with board_on_request(target) as reply:
            yield from answers({**request, "elsewhere": False}, reply)
        return
    from dlas.systems.tuners.ansor.board import bench

    with bench(target) as there:
        yield from answers({**request, "elsewhere": True, "builders": usable_cores()}, there.reply)


def read(line: str) -> Record:
    """The record in a line of Ansor's own log; an exception where it is none."""
    record = json.loads(line)
    _, workload, algorithm = json.loads(record["i"][0][0])
    costs, error, *_ = record["r"]
    return Record(f"{algorithm}:{workload}", None if error else sum(costs) / len(costs))


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """The fastest schedule of each task in `log`, replayed by the worker and carried into this TVM.

    A schedule that can't be carried over gives way to the next fastest, and the reason is told. UserError
    where the log was measured for another target, unless a `foreign` one is asked for.
    """
    fixed = not_searchable(tasks, "Ansor")
    tasks = searchable(tasks)
    if not tasks:
        return Schedules(missing=fixed)
    require_records(log, "Ansor", read)
    found: dict[str, PrimFunc] = {}
    refused: dict[str, tuple[str, ...]] = defaultdict(tuple)
    if log.exists() and log.stat().st_size:
        request = _request("replay", tasks, target, log, best=CARRIED_AT_MOST, foreign=foreign)
        with closing(answers(request)) as schedules:
            for schedule in schedules:
                if "foreign" in schedule:
                    raise foreign_log(log, schedule["foreign"], target)
                key = tasks[schedule["task"]].key
                if key in found:
                    continue
                if "refused" in schedule:
                    refused[key] += (f"its schedule no longer applies: {schedule['refused']}",)
                    continue
                try:
                    found[key] = carry_over(schedule["script"])
                except CannotCarry as error:
                    refused[key] += (str(error),)
    missing = fixed | {task.key: "; ".join(refused[task.key]) or NOT_MEASURED for task in tasks}
    missing = {key: reason for key, reason in missing.items() if key not in found}
    return Schedules(found, missing, {key: reasons for key, reasons in refused.items() if reasons})


def _request(
    command: str, tasks: Sequence[TuningTask], target: CodeTarget, log: Path, **more: object
) -> dict[str, Any]:
    listed = [
        {"workload": task.workload.key, "algorithm": task.algorithm, "count": task.count} for task in tasks
    ]
    return {
        "command": command,
        "tasks": listed,
        "target": target_text(target),
        "cores": target.cores,
        "log": str(log.resolve()),
        **more,
    }


def target_text(target: CodeTarget) -> str:
    """The target as TVM 0.19 spells it."""
    features = f" -mattr={','.join(target.features)}" if target.features else ""
    return f"llvm -mtriple={target.triple} -mcpu={target.cpu}{features} -num-cores {target.cores}"
