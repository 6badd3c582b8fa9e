"""Ansor's search: sketches, evolution and a learned cost model, its trials spread over a model's layers."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elsewhere import Ask
from layers import allow, search_task
from measuring import Report, measuring
from results import mean_seconds
from seeding import seeds, steps_in
from tvm import TVMError, auto_scheduler
from tvm.auto_scheduler import (
    PreloadMeasuredStates,
    RecordReader,
    SearchTask,
    SketchPolicy,
    TaskScheduler,
    TuningOptions,
    XGBModel,
)
from tvm.auto_scheduler.measure import PythonBasedMeasureCallback

MAX_ROUND = 16
"""Candidates of one layer measured together; small budgets get smaller rounds."""

ROUNDS_PER_TASK = 2
"""Rounds that the budget allows a layer on average: one to see where it stands, one for where time is."""

NOTHING_TO_MEASURE = "All states are invalid"
"""Ansor's error when no schedule that it sampled for a layer can be lowered."""


def tune(request: Mapping[str, Any], report: Report, ask: Ask) -> None:
    """Measure candidates until these tasks have `trials` records, the log's with them; each is reported as it
    comes. The log may hold records of other layers too, by one of the request's `algorithms`.

    A layer that has `relatives` starts from them, before any search.
    """
    log, trials = own_copy(Path(request["log"])), request["trials"]
    allow(request["algorithms"])
    tasks = [search_task(task, request["target"]) for task in request["tasks"]]
    weights = {task.workload_key: asked["count"] for task, asked in zip(tasks, request["tasks"], strict=True)}
    progress = Progress(tasks, weights)
    progress.restore(log)
    if progress.trials >= trials:
        return
    search = request["search"]
    means = measuring(request, log, report, ask)
    for task, asked in sorted(
        zip(tasks, request["tasks"], strict=True), key=lambda pair: progress.rank(pair[0])
    ):
        if inputs := first_candidates(task, asked, request, log, progress.trials, report):
            results = means.runner.run(inputs, means.builder.build(inputs, verbose=0), verbose=0)
            for callback in (*means.recorders, progress):
                callback.callback(None, inputs, results)
    remaining = trials - progress.trials
    if remaining <= 0:
        return
    chosen = most_promising(tasks, progress, remaining)
    per_round = max(1, min(MAX_ROUND, trials // (ROUNDS_PER_TASK * len(tasks))))
    model = XGBModel(num_warmup_sample=search["model_from"], verbose_eval=0)
    resumed = [PreloadMeasuredStates(str(log))] if progress.trials else []
    if log.exists() and log.stat().st_size:
        model.update_from_file(str(log))  # other tasks' records too
    policies = [
        SketchPolicy(
            task,
            model,
            params={
                "sample_init_min_population": search["sampled"],
                "evolutionary_search_population": search["population"],
                "evolutionary_search_num_iters": search["generations"],
            },
            seed=request["seed"] + index + progress.trials,
            verbose=0,
            init_search_callbacks=resumed or None,
        )
        for index, task in enumerate(chosen)
    ]
    scheduler = BudgetedScheduler(
        chosen,
        task_weights=[weights[task.workload_key] for task in chosen],
        load_log_file=str(log) if resumed else None,
        callbacks=[],
    )
    scheduler.tune(
        TuningOptions(
            num_measure_trials=remaining,
            num_measures_per_round=per_round,
            builder=means.builder,
            runner=means.runner,
            measure_callbacks=[*means.recorders, progress],
            verbose=0,
        ),
        search_policy=policies,
    )


def own_copy(log: Path) -> Path:
    """A copy of the log in this process's folder, to which Ansor adds what it measures and reads it again."""
    copy = Path(tempfile.mkdtemp()) / log.name
    copy.write_bytes(log.read_bytes() if log.exists() else b"")
    return copy


def first_candidates(
    task: SearchTask,
    asked: Mapping[str, Any],
    request: Mapping[str, Any],
    log: Path,
    measured: int,
    report: Report,
) -> list[auto_scheduler.MeasureInput]:
    """Candidates made from the schedules of the task's relatives, within its share of the
    trials and those left.

    Why others do not fit is reported, once for all of a workload.
    """
    told: set[str] = set()
    key = f"{asked['algorithm']}:{asked['workload']}"
    share = max(1, request["trials"] // len(request["tasks"]))

    def refuse(relative: str, reason: str) -> None:
        told.add(f"a schedule of {relative} does not fit {key}: {reason}")

    found = seeds(
        task,
        request["relatives"].get(key, []),
        min(request["search"]["seeds"], share, request["trials"] - measured),
        steps_in(log, task),
        refuse,
    )
    for refusal in sorted(told):
        report({"refused": refusal})
    return found


class BudgetedScheduler(TaskScheduler):
    """Ansor's task scheduler, kept to its number of trials and past a layer that it finds no schedule for."""

    def _tune_task(self, task_idx: int) -> None:
        per_round = self.num_measures_per_round
        self.num_measures_per_round = min(per_round, self.tune_option.num_measure_trials - self.ct)
        if self.num_measures_per_round > 0:
            try:
                super()._tune_task(task_idx)
            except TVMError as error:
                if NOTHING_TO_MEASURE not in str(error):
                    raise
                self.dead_tasks.add(task_idx)
        self.num_measures_per_round = per_round


class Progress(PythonBasedMeasureCallback):
    """The number and the times of the candidates measured so far."""

    def __init__(self, tasks: Sequence[SearchTask], weights: Mapping[str, int]) -> None:
        super().__init__()
        self.target = str(tasks[0].target)
        self.weights = weights
        self.trials = 0
        self.best = defaultdict(lambda: math.inf)

    def restore(self, log: Path) -> None:
        """Count what an earlier search left in `log`."""
        if log.exists() and log.stat().st_size:
            pairs = [pair for pair in RecordReader(str(log)) if self.concerns(pair[0])]
            self.count([record for record, _ in pairs], [result for _, result in pairs])

    def concerns(self, record: auto_scheduler.MeasureInput) -> bool:
        return record.task.workload_key in self.weights and str(record.task.target) == self.target

    def callback(self, policy: SketchPolicy | None, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        self.count(inputs, results)

    def count(self, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        for record, result in zip(inputs, results, strict=True):
            key = record.task.workload_key
            self.trials += 1
            if not result.error_no:
                self.best[key] = min(self.best[key], mean_seconds(result))

    def rank(self, task: SearchTask) -> tuple[bool, float]:
        """Priority of a task, to sort by: those that have no time come first, by their work; then those
        where most time is."""
        measured = self.best[task.workload_key]
        cost = task.compute_dag.flop_ct if math.isinf(measured) else measured
        return not math.isinf(measured), -self.weights[task.workload_key] * cost


def most_promising(tasks: list[SearchTask], progress: Progress, trials: int) -> list[SearchTask]:
    """The most promising tasks, as many as there are trials."""
    return sorted(tasks, key=progress.rank)[:trials] if trials < len(tasks) else tasks
