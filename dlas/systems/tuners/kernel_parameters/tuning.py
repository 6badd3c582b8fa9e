"""Search over the parameters of kernels that are written in TensorIR: for sparse and for integer weights.

Their algorithms offer `parameters(workload, target)`, a small space of plain dataclasses with the cost rule's
choice first, and `kernel_with(workload, target, parameters)`. A log is lines of

    {"task": …, "target": …, "parameters": {…}, "seconds": …, "rule_seconds": …, "error": …, "again": …}

`rule_seconds` is the time of the cost rule's own kernel, which took turns with the candidate: candidates are
ranked by the ratio. Where one failed, its `error` says how and both times are null. The fastest are measured
again when a search ends, at length: that line counts then, and is no further trial.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.hardware.targets.llvm import tvm_target
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Record, Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.tuners.common.relatives import relatives_of
from dlas.systems.tuners.common.search.log import foreign_log
from dlas.systems.tuners.common.search.searcher import NOT_MEASURED, Searcher
from dlas.systems.tuners.common.search.searching import measure_new, search
from dlas.systems.tuners.kernel_parameters.space import (
    GAIN,
    NAME,
    Measured,
    algorithm_of,
    has_choice,
    of_tasks,
    offered,
    space,
)

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


def tune(tasks: Sequence[TuningTask], target: Target, trials: int, log: Path, store: TuningRecords) -> Tuning:
    """Search until `trials` candidates are measured, or every layer is done.

    UserError where the target is not this machine: see
    dlas.systems.tuners.common.search.searching.
    """

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        from dlas.systems.tuners.kernel_parameters.search import measure

        return measure(tasks, target, trials, known)

    searcher = Searcher(NAME, version_in_store(), read, measure, lambda task: has_choice(task, target.code))
    return search(searcher, tasks, target, trials, log, store)


def transfer(
    tasks: Sequence[TuningTask], target: Target, candidates: int, log: Path, store: TuningRecords
) -> Tuning:
    """Measure the parameters that served similar layers best, at most `candidates` of each layer that
    `store` has no time of."""
    shelf = store.shelf(version_in_store(), target)

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        from dlas.systems.tuners.kernel_parameters.search import transfer

        found = relatives_of(tasks, shelf, _read_gain, candidates)
        relatives = {task: [line for _, line in lines] for task, lines in found.items()}
        served = [task for task in tasks if task.key in relatives]
        return transfer(served, target, relatives, candidates, known)

    searcher = Searcher(NAME, version_in_store(), read, measure, lambda task: has_choice(task, target.code))
    return measure_new(searcher, tasks, target, candidates, log, store)


def version_in_store() -> str:
    """Name of the shelf, with TVM's version: what is fast depends on the code that TVM generates."""
    return f"parameters-{version('apache-tvm')}"


def read(line: str) -> Record:
    """The record in a line of a log; an exception where it is none."""
    measured = Measured(**json.loads(line))
    return Record(measured.task, measured.seconds, measured.candidate)


def _read_gain(line: str) -> Record:
    """The record in a line of a log with the ratio for the time, or with none where nothing was gained:
    similar layers are to start from gains."""
    measured = Measured(**json.loads(line))
    gained = measured.ratio is not None and measured.ratio <= GAIN
    return Record(measured.task, measured.ratio if gained else None, measured.candidate)


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """The kernel with the fastest parameters in `log`, of each task for which they gain anything.

    Parameters that the algorithm no longer offers give way to the next fastest, and the reason is told.
    UserError where the log was measured for another target, unless a `foreign` one is asked for.
    """
    found: dict[str, PrimFunc] = {}
    missing: dict[str, str] = {}
    refused: dict[str, tuple[str, ...]] = {}
    measured = of_tasks(log, tasks)
    ours = str(tvm_target(target))
    for one in (one for records in measured.values() for one in records):
        if one.target != ours and not foreign:
            raise foreign_log(log, one.target, target)
    for task in tasks:
        ranked = _ranked(measured[task.key])
        chosen, gone = _fastest(task, target, [one for ratio, one in ranked if ratio <= GAIN])
        if chosen is not None:
            found[task.key] = algorithm_of(task).kernel_with(task.workload, target, chosen)
        else:
            missing[task.key] = "; ".join(gone) or _reason(task, target, len(ranked))
        if gone:
            refused[task.key] = gone
    return Schedules(found, missing, refused)


def _ranked(measured: Sequence[Measured]) -> list[tuple[float, Measured]]:
    """The measurements that succeeded, with their ratios, the fastest first."""
    ran = [(one.ratio, one) for one in measured if one.ratio is not None]
    return sorted(ran, key=lambda pair: pair[0])


def _fastest(
    task: TuningTask, target: CodeTarget, ranked: Sequence[Measured]
) -> tuple[Any | None, tuple[str, ...]]:
    """The first parameters that the algorithm still offers, None where its cost rule prefers the same by now;
    and what was wrong with those before."""
    gone: list[str] = []
    for one in ranked:
        chosen = offered(task, target, one.parameters)
        if chosen is not None:
            return (None if chosen == space(task, target)[0] else chosen), tuple(gone)
        gone.append(f"it has no parameters {one.parameters} now")
    return None, tuple(gone)


def _reason(task: TuningTask, target: CodeTarget, measured: int) -> str:
    if not has_choice(task, target):
        return "its kernel leaves no parameters to choose"
    if not measured:
        return NOT_MEASURED
    return f"none of {measured} other parameters was faster than those of the cost rule"
