"""Schedules of a layer's relatives made to fit the layer, in MetaSchedule's worker.

A relative's trace is applied to the layer instruction by instruction, its tile sizes adapted to the layer's
loops; what followed from its shape, vector loops for instance, is then done anew. A trace that does not apply
is left out, and why is reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tvm_ffi
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from dlas.errors import last_line
from dlas.hardware.targets.llvm import tvm_target
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.tuning import TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.tuners.common.tiles import adapted_tiles
from dlas.systems.tuners.metaschedule import measuring
from dlas.systems.tuners.metaschedule.measuring import Bench, Board, Layer, Report

TILES = "SamplePerfectTile"
"""Instruction that splits a loop; its attributes are the number of parts, and the innermost
part's largest size."""

Relatives = Sequence[tuple[str, str]]
"""Records to start from, the most promising first: a workload's key and a line of a log
with a record of it."""


class DoesNotApply(Exception):
    """A layer has no place for the steps of a relative's schedule."""


def transfer(request: Mapping[str, Any], report: Report, board: Board) -> None:
    """Measure each task's adapted relatives; each record is reported."""
    target, log = measuring.target(request), Path(request["log"])
    bench = Bench(target, report, board)
    for task in measuring.tasks(request):
        layer = _layer(task, target.code)
        relatives = request["relatives"].get(task.key, [])
        bench.measure(layer, adapted(layer, relatives, request["candidates"], log, report))


def adapted(
    layer: Layer, relatives: Relatives, count: int, log: Path, report: Report
) -> list[ms.search_strategy.MeasureCandidate]:
    """At most `count` candidates for the layer, no two of them the same kernel, and none that `log` has.

    Why others do not fit is reported, once for each relative and reason.
    """
    measured = [record[measuring.TRACE] for _, record in measuring.records(log, [layer.task.key])]
    found: list[ms.search_strategy.MeasureCandidate] = []
    refused: set[str] = set()
    for workload, line in relatives:
        if len(found) >= count:
            break
        relative = TuningTask(ConvWorkload.from_key(workload), layer.task.algorithm)
        _, record = json.loads(line)
        try:
            schedule = _applied(record, relative, layer)
        except DoesNotApply as error:
            refused.add(f"a schedule of {workload} does not fit {layer.task.key}: {error}")
            continue
        if any(_same(schedule, one.sch) for one in found):
            continue
        if ms.database.TuningRecord(schedule.trace, layer.workload).as_json()[measuring.TRACE] in measured:
            continue
        arguments = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
        found.append(ms.search_strategy.MeasureCandidate(schedule, arguments))
    for reason in sorted(refused):
        report({"refused": reason})
    return found


def _applied(record: Any, relative: TuningTask, layer: Layer) -> Schedule:
    """The layer by the relative's schedule; DoesNotApply where it has no place for that."""
    schedule = Schedule(layer.workload.mod, error_render_level="fast")

    def decision(instruction: Any, inputs: Sequence[Any], attributes: Sequence[Any], made: Any) -> Any:
        if instruction.kind.name != TILES:
            return made
        loop = schedule.get(inputs[0])
        return adapted_tiles(int(loop.extent), [int(size) for size in made], int(attributes[1]))

    try:
        trace = ms.database.TuningRecord.from_json(record, measuring.workload_of(relative)).trace
        trace.apply_to_schedule(schedule, remove_postproc=True, decision_provider=decision)
        schedule.enter_postproc()
        fits = all(step.apply(schedule) for step in layer.context.space_generator.postprocs)
    except Exception as error:  # TVM's errors have no class of their own
        raise DoesNotApply(last_line(error)) from error
    if not fits:
        raise DoesNotApply("what follows from its shape can't be done to it")
    return schedule


def _layer(task: TuningTask, target: CodeTarget) -> Layer:
    workload = measuring.workload_of(task)
    context = ms.TuneContext(
        mod=workload.mod, target=tvm_target(target), space_generator="post-order-apply", task_name=task.key
    )
    return Layer(task, workload, context)


def _same(one: Schedule, other: Schedule) -> bool:
    return bool(tvm_ffi.structural_equal(one.mod, other.mod))
