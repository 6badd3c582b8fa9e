"""Ansor, TVM 0.19's auto-scheduler: sketches, evolutionary search and a learned cost model over TE computes.

Ansor left TVM after 0.19, so it runs in an environment and a process of its own (workers/ansor); its
schedules are carried into this TVM as text. L. Zheng et al., "Ansor: Generating High-Performance Tensor
Programs for Deep Learning", OSDI 2020.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas import config
from dlas.errors import UserError
from dlas.hardware.target import Target, misfits, this_machine
from dlas.systems.carry_over import CannotCarry, carry_over
from dlas.systems.tuners.ansor_worker import answers
from dlas.systems.tuners.task import Schedules, Tuning, TuningTask

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

CARRIED_AT_MOST = 4
"""How far down from the fastest schedule to look for one that can be carried over."""

SAMPLED_AT_LEAST = 16
"""Random schedules that an evolutionary search starts from: of fewer, all may turn out to be invalid."""

MODEL_FROM = 8
"""Measurements after which the cost model's word counts; before, candidates are picked at random."""

REPEAT_MS = 20
"""The least time that one of a candidate's three timings covers, milliseconds."""

SEED = 1
"""Of the search; what it finds still depends on the times that it measures."""


@dataclass(frozen=True)
class Settings(config.Tuner):
    """How much to search, and how thoroughly between measurements."""

    trials: int = 128
    """Candidates to measure for the whole model, spread over its layers."""
    population: int = 64
    """Candidates that the cost model ranks in each generation."""
    generations: int = 2
    """Generations of the evolutionary search before each round of measurements."""

    def __post_init__(self) -> None:
        for name in ("trials", "population", "generations"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"{getattr(self, name)} is too few",
                    key=f"tuner.{name}",
                    remedy="Give 1 or more, or choose tuner=none to keep the untuned schedules.",
                )


def tune(tasks: Sequence[TuningTask], target: Target, settings: Settings, log: Path) -> Tuning:
    """Search until `log` (Ansor's own JSON lines) holds `settings.trials` records of these tasks.

    Records are appended as they are measured. A log that an interrupted search left is gone on with. On
    any exception, KeyboardInterrupt with it, the worker ends and the log holds whole records only.
    UserError where the target is not this machine, or the worker can't be started or dies.
    """
    if reasons := misfits(target, this_machine()):
        raise UserError(
            f"Ansor measures its candidates on this machine, which does not run them: {'; '.join(reasons)}",
            key="tuner",
            remedy="Tune on a machine of the target's kind, or use tuner=none.",
        )
    if not tasks:
        return Tuning()
    start = time.monotonic()
    search = {
        "sampled": max(SAMPLED_AT_LEAST, settings.population // 8),
        "population": settings.population,
        "generations": settings.generations,
        "model_from": MODEL_FROM,
        "repeat_ms": REPEAT_MS,
    }
    request = _request("tune", tasks, target, log, trials=settings.trials, search=search, seed=SEED)
    progress: Mapping[str, Any] = {"trials": 0, "failed": 0, "best": [None] * len(tasks)}
    with (
        _whole_records(log),
        _progress_bar(settings.trials) as show,
        closing(answers(request)) as reports,
    ):
        for progress in reports:
            show(progress)
            _require_records(log, progress["trials"])
    best = {task.key: seconds for task, seconds in zip(tasks, progress["best"], strict=True) if seconds}
    return Tuning(progress["trials"], progress["failed"], time.monotonic() - start, best)


def best_schedules(log: Path, tasks: Sequence[TuningTask], target: Target) -> Schedules:
    """The fastest schedule of each task in `log`, replayed by the worker and carried into this TVM.

    A schedule that can't be carried over gives way to the next fastest, and the reason is told.
    """
    if not tasks:
        return Schedules()
    found: dict[str, PrimFunc] = {}
    refused: dict[str, tuple[str, ...]] = defaultdict(tuple)
    if log.exists() and log.stat().st_size:
        with closing(answers(_request("replay", tasks, target, log, best=CARRIED_AT_MOST))) as schedules:
            for schedule in schedules:
                key = tasks[schedule["task"]].key
                if key in found:
                    continue
                try:
                    found[key] = carry_over(schedule["script"])
                except CannotCarry as error:
                    refused[key] += (str(error),)
    missing = {
        task.key: "; ".join(refused[task.key]) or "no candidate of it was measured with success"
        for task in tasks
        if task.key not in found
    }
    return Schedules(found, missing, {key: reasons for key, reasons in refused.items() if reasons})


def _request(
    command: str, tasks: Sequence[TuningTask], target: Target, log: Path, **more: object
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


def target_text(target: Target) -> str:
    """The target as TVM 0.19 spells it."""
    features = f" -mattr={','.join(target.features)}" if target.features else ""
    return f"llvm -mtriple={target.triple} -mcpu={target.cpu}{features} -num-cores {target.cores}"


@contextmanager
def _whole_records(log: Path) -> Iterator[None]:
    """Before and after, cut off a record that a killed worker wrote only in part."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise UserError(f"the tuning log can't be written: {error}", key="tuner") from None
    _cut_partial_record(log)
    try:
        yield
    finally:
        _cut_partial_record(log)


def _require_records(log: Path, trials: int) -> None:
    """UserError where Ansor, which does not look whether its writing succeeds, lost records."""
    written = log.read_bytes().count(b"\n")
    if written < trials:
        raise UserError(
            f"{trials} candidates were measured, but the tuning log {log} holds {written}",
            key="tuner",
            remedy="Make room on its disk and start again: the search goes on from these.",
        )


def _cut_partial_record(log: Path) -> None:
    content = log.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with log.open("r+b") as file:
            file.truncate(whole)


@contextmanager
def _progress_bar(trials: int) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=trials, desc="Ansor", unit="trial") as bar:

        def show(progress: Mapping[str, Any]) -> None:
            bar.n = progress["trials"]
            if progress["estimated"] is not None:
                bar.set_postfix_str(f"convolutions {progress['estimated'] * 1e3:.3g} ms", refresh=False)
            bar.refresh()

        yield show
