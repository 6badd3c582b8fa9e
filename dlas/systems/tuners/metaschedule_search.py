"""MetaSchedule's search, in the worker: evolution over traces, a learned cost model, trials where time is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm.s_tir import Schedule, Trace
from tvm.s_tir import meta_schedule as ms
from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

from dlas.algorithms.workload import ConvWorkload
from dlas.hardware.instruction_sets import architecture
from dlas.hardware.target import Target, tvm_target
from dlas.systems.tuners import metaschedule_intrinsics
from dlas.systems.tuners.metaschedule import FAILED_SECONDS
from dlas.systems.tuners.task import TuningTask, definition

Report = Callable[[dict[str, Any]], None]

LARGEST_ROUND = 16
"""Candidates of one layer measured together; small budgets get smaller rounds."""

SMALL_ROUND = 4
"""In smaller rounds evolution takes longer than measuring: only where a layer has no more trials."""

ROUNDS_PER_TASK = 2
"""Rounds that the budget allows a layer on average: one to see where it stands, one for where time is."""

MODEL_FROM = 16
"""Measurements after which the cost model's word counts; before, candidates are picked at random."""

SAMPLED_AT_LEAST = 16
"""Random schedules that a round's evolution starts from; the default, 50, takes longer than to measure."""

BUILD_SECONDS = 30
RUN_SECONDS = 30
"""With the start of a process in it, where the one before crashed."""

TRACE, SECONDS, TARGET = 0, 1, 2
"""Where a record has them, as JSON: its trace, its times, its target, its arguments."""

REPEAT_MS = 20
"""The least time that one of a candidate's three timings covers, milliseconds."""

SEED = 1
"""Of the search; what it finds still depends on the times that it measures."""


class Layer:
    """A task's search: its candidates, what was measured of it."""

    def __init__(self, task: TuningTask, workload: ms.database.Workload, context: ms.TuneContext) -> None:
        self.task = task
        self.workload = workload
        self.context = context
        self.measured = 0
        self.best = math.inf
        self.exhausted = False

    def count(self, seconds: float) -> None:
        """Take in one measurement."""
        self.measured += 1
        if seconds < FAILED_SECONDS:
            self.best = min(self.best, seconds)

    @property
    def worth(self) -> tuple[bool, float]:
        """Of searching it next: what was never measured first, by its work, then by the time to gain.

        The guess of what is to gain is Ansor's optimistic one: as many trials again bring the time to 0.
        """
        if not self.measured:
            return True, self.task.count * self.task.workload.macs
        time = self.best if math.isfinite(self.best) else 0.0
        return False, self.task.count * time / self.measured


def tune(request: Mapping[str, Any], report: Report) -> None:
    """Measure candidates until the log holds `trials` records of these tasks; reported round by round."""
    log, trials, target = Path(request["log"]), request["trials"], _target(request)
    database, model = ms.database.MemoryDatabase(), _cost_model(target.cores)
    layers = [_layer(task, target, request, index) for index, task in enumerate(_tasks(request))]
    for layer in layers:
        database.commit_workload(layer.workload.mod)
    _restore(layers, log, database, model)
    per_layer = max(1, trials // len(layers))
    per_round = max(min(SMALL_ROUND, per_layer), min(LARGEST_ROUND, per_layer // ROUNDS_PER_TASK))
    for layer in layers:
        spaces = layer.context.generate_design_space()
        layer.context.pre_tuning(trials, per_round, spaces, database, model)
    _report(layers, report)
    builder = PopenPoolExecutor(target.cores, BUILD_SECONDS, _prepare, (architecture(target.triple),))
    runner = ms.runner.LocalRunner(RUN_SECONDS, ms.runner.EvaluatorConfig(1, 3, REPEAT_MS))
    while (remaining := trials - sum(layer.measured for layer in layers)) > 0:
        alive = [layer for layer in layers if not layer.exhausted]
        if not alive:
            return
        layer = max(alive, key=lambda one: one.worth)
        candidates = layer.context.generate_measure_candidates()
        if not candidates:
            layer.exhausted = True
            continue
        candidates = list(candidates)[:remaining]
        results = []
        for candidate, artifact in zip(candidates, _built(builder, candidates, target), strict=True):
            result = _run(runner, candidate, artifact)
            record = _record(layer, candidate, result, target)
            database.commit_tuning_record(record)
            layer.count(_append(log, layer.task, record))
            results.append(result)
        layer.context.notify_runner_results(candidates, results)
        model.update(layer.context, candidates, results)
        _report(layers, report)


def replay(request: Mapping[str, Any], report: Report) -> None:
    """Report each task's fastest schedule in `log` that applies, and what was wrong with faster ones."""
    target = _target(request)
    metaschedule_intrinsics.register(architecture(target.triple))
    tasks = {task.key: task for task in _tasks(request)}
    measured: dict[str, list[Any]] = {key: [] for key in tasks}
    ours = str(tvm_target(target))
    for key, record in _records(Path(request["log"]), tasks):
        measured_for = str(tvm.target.Target(record[TARGET]))
        if measured_for != ours and not request["foreign"]:
            report({"foreign": measured_for})
            return
        if _seconds(record) < FAILED_SECONDS:
            measured[key].append(record)
    for key, records in measured.items():
        workload = ms.database.Workload(_module(tasks[key]))
        for record in sorted(records, key=_seconds)[: request["best"]]:
            try:
                function = _scheduled(record, workload)
            except Exception as error:  # TVM's errors have no class of their own
                report({"task": key, "refused": f"its schedule no longer applies: {_last_line(error)}"})
                continue
            report({"task": key, "function": tvm.ir.save_json(function)})
            break


def _tasks(request: Mapping[str, Any]) -> list[TuningTask]:
    return [
        TuningTask(ConvWorkload.from_key(task["workload"]), task["algorithm"], task["count"])
        for task in request["tasks"]
    ]


def _target(request: Mapping[str, Any]) -> Target:
    described: dict[str, Any] = request["target"]
    return Target(**{**described, "features": tuple(described["features"])})


def _module(task: TuningTask) -> tvm.IRModule:
    return tvm.IRModule({"main": definition(task)})


def _layer(task: TuningTask, target: Target, request: Mapping[str, Any], index: int) -> Layer:
    metaschedule_intrinsics.register(architecture(target.triple))
    workload = ms.database.Workload(_module(task))
    strategy = ms.search_strategy.EvolutionarySearch(
        population_size=request["population"],
        genetic_num_iters=request["generations"],
        init_min_unmeasured=max(SAMPLED_AT_LEAST, request["population"] // 4),
    )
    context = ms.TuneContext(
        mod=workload.mod,
        target=tvm_target(target),
        space_generator="post-order-apply",
        search_strategy=strategy,
        task_name=task.key,
        rand_state=SEED + index,
        num_threads=target.cores,
    )
    return Layer(task, workload, context)


def _cost_model(cores: int) -> ms.cost_model.XGBModel:
    return ms.cost_model.XGBModel(num_warmup_samples=MODEL_FROM, num_tuning_cores=cores)


def _restore(
    layers: Sequence[Layer], log: Path, database: ms.database.Database, model: ms.cost_model.CostModel
) -> None:
    """Go on from the records of these layers that the log holds."""
    by_key = {layer.task.key: layer for layer in layers}
    records: dict[str, list[ms.database.TuningRecord]] = {key: [] for key in by_key}
    for key, measured in _records(log, by_key):
        layer = by_key[key]
        layer.count(_seconds(measured))
        record = ms.database.TuningRecord.from_json(measured, layer.workload)
        database.commit_tuning_record(record)
        records[key].append(record)
    for key, restored in records.items():
        if restored:
            candidates = [record.as_measure_candidate() for record in restored]
            results = [ms.runner.RunnerResult(record.run_secs, None) for record in restored]
            model.update(by_key[key].context, candidates, results)


def _records(log: Path, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The records of these tasks, as JSON."""
    if log.exists():
        for line in log.read_text().splitlines():
            key, record = json.loads(line)
            if key in keys:
                yield key, record


def _scheduled(record: Any, workload: ms.database.Workload) -> tvm.tirx.PrimFunc:
    """The kernel that a record, as JSON, describes; an exception of TVM's where it does not apply."""
    schedule = Schedule(workload.mod, error_render_level="fast")
    Trace.apply_json_to_schedule(record[TRACE], schedule)
    return schedule.mod["main"]


def _prepare(architecture: str) -> None:
    """In a process that builds: the intrinsics that candidates may call."""
    metaschedule_intrinsics.register(architecture)


def _build(module: tvm.IRModule, target: Target) -> str:
    """The path of the candidate's library; in a process that builds."""
    return str(ms.builder.local_builder.default_export(tvm.driver.build(module, target=tvm_target(target))))


def _built(
    builder: PopenPoolExecutor, candidates: Sequence[Any], target: Target
) -> list[tuple[str | None, str | None]]:
    """Per candidate its library, or why it has none; built in parallel, with nothing else being timed."""
    modules = [(candidate.sch.mod, target) for candidate in candidates]
    ended = builder.map_with_error_catching(lambda asked: _build(*asked), modules)
    return [
        (one.value, None) if one.status == StatusKind.COMPLETE else (None, str(one.value) or "timed out")
        for one in ended
    ]


def _run(
    runner: ms.runner.LocalRunner, candidate: Any, artifact: tuple[str | None, str | None]
) -> ms.runner.RunnerResult:
    path, error = artifact
    if path is None:
        return ms.runner.RunnerResult(None, error)
    (future,) = runner.run([ms.runner.RunnerInput(path, "cpu", candidate.args_info)])
    return future.result()


def _record(
    layer: Layer, candidate: Any, result: ms.runner.RunnerResult, target: Target
) -> ms.database.TuningRecord:
    """As MetaSchedule records it: a candidate that failed took 1e10 seconds."""
    seconds = [float(second) for second in result.run_secs or [10 * FAILED_SECONDS]]
    return ms.database.TuningRecord(
        candidate.sch.trace, layer.workload, seconds, tvm_target(target), candidate.args_info
    )


def _append(log: Path, task: TuningTask, record: ms.database.TuningRecord) -> float:
    """Write a record; the seconds that it tells."""
    described = record.as_json()
    with log.open("a") as file:
        file.write(json.dumps([task.key, described]) + "\n")
    return _seconds(described)


def _seconds(record: Any) -> float:
    """The mean of a record's times; the record as JSON."""
    times: list[float] = record[SECONDS]
    return sum(times) / len(times)


def _report(layers: Sequence[Layer], report: Report) -> None:
    estimated = sum(layer.task.count * layer.best for layer in layers)
    trials = sum(layer.measured for layer in layers)
    report({"trials": trials, "estimated": estimated if math.isfinite(estimated) else None})


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
