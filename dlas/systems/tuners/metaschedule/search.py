"""MetaSchedule's search, in the worker: evolution over traces, a learned cost model, trials where time is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from dlas.hardware.targets.llvm import tvm_target
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners.common.relatives import SEEDS
from dlas.systems.tuners.metaschedule import measuring
from dlas.systems.tuners.metaschedule.measuring import Bench, Board, Layer, Report
from dlas.systems.tuners.metaschedule.transfer import adapted

MAX_ROUND = 16
"""Candidates of one layer measured together; small budgets get smaller rounds."""

SMALL_ROUND = 4
"""Smallest round, unless a layer has fewer trials: in smaller ones evolution takes longer than measuring."""

ROUNDS_PER_TASK = 2
"""Rounds that the budget allows a layer on average: one to see where it stands, one for where time is."""

MODEL_FROM = 16
"""Measurements after which the cost model's word counts; before, candidates are picked at random."""

SAMPLED_AT_LEAST = 16
"""Random schedules that a round's evolution starts from; the default, 50, takes longer than to measure."""

SEED = 1
"""Seed of the search; what it finds still depends on the times that it measures."""


def worth(layer: Layer) -> tuple[bool, float]:
    """Priority of a layer: what was never measured comes first, by its work; then by the time to gain.

    The guess of what is to gain is Ansor's optimistic one: as many trials again bring the time to 0.
    """
    if not layer.measured:
        return True, layer.task.count * layer.task.workload.macs
    time = layer.best if math.isfinite(layer.best) else 0.0
    return False, layer.task.count * time / layer.measured


def tune(request: Mapping[str, Any], report: Report, board: Board) -> None:
    """Measure candidates until these tasks have `trials` records, the log's with them; each is reported.

    A layer that has `relatives` starts from them, before any search.
    """
    log, target = Path(request["log"]), measuring.target(request)
    trials: int = request["trials"]
    database, model = ms.database.MemoryDatabase(), _cost_model(target.code.cores)
    layers = [
        _layer(task, target.code, request, index) for index, task in enumerate(measuring.tasks(request))
    ]
    for layer in layers:
        database.commit_workload(layer.workload.mod)
    _restore(layers, log, database, model)
    per_layer = max(1, trials // len(layers))
    per_round = max(min(SMALL_ROUND, per_layer), min(MAX_ROUND, per_layer // ROUNDS_PER_TASK))
    for layer in layers:
        spaces = layer.context.generate_design_space()
        layer.context.pre_tuning(trials, per_round, spaces, database, model)
    bench = Bench(target, report, board)

    def measure(layer: Layer, candidates: Sequence[Any]) -> list[ms.runner.RunnerResult]:
        measured = bench.measure(layer, candidates)
        for _, record in measured:
            database.commit_tuning_record(record)
        results = [result for result, _ in measured]
        model.update(layer.context, candidates, results)
        return results

    def remaining() -> int:
        return trials - sum(layer.measured for layer in layers)

    for layer in sorted(layers, key=worth, reverse=True):
        relatives = request["relatives"].get(layer.task.key, [])
        if seeds := adapted(layer, relatives, min(SEEDS, per_layer, remaining()), log, report):
            measure(layer, seeds)
    while remaining() > 0:
        alive = [layer for layer in layers if not layer.exhausted]
        if not alive:
            return
        layer = max(alive, key=worth)
        candidates = layer.context.generate_measure_candidates()
        if not candidates:
            layer.exhausted = True
            continue
        candidates = list(candidates)[: remaining()]
        layer.context.notify_runner_results(candidates, measure(layer, candidates))


def _layer(task: TuningTask, target: CodeTarget, request: Mapping[str, Any], index: int) -> Layer:
    workload = measuring.workload_of(task)
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
    for key, measured in measuring.records(log, by_key):
        layer = by_key[key]
        layer.count(measuring.seconds(measured))
        record = ms.database.TuningRecord.from_json(measured, layer.workload)
        database.commit_tuning_record(record)
        records[key].append(record)
    for key, restored in records.items():
        if restored:
            candidates = [record.as_measure_candidate() for record in restored]
            results = [ms.runner.RunnerResult(record.run_secs, None) for record in restored]
            model.update(by_key[key].context, candidates, results)
