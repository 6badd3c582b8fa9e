"""Measurement of MetaSchedule's candidates, in the worker: built in parallel, timed one by
one, each recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import tvm
from pydantic import TypeAdapter
from tvm.s_tir import meta_schedule as ms
from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.llvm import tvm_target
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.tuners.common.task import definition
from dlas.systems.tuners.metaschedule import board, intrinsics
from dlas.systems.tuners.metaschedule.tuner import FAILED_SECONDS

Report = Callable[[dict[str, Any]], None]
Board = Callable[[], AbstractContextManager[None]]
"""Makes a block in which this process has the board for itself."""

BUILD_SECONDS = 30
RUN_SECONDS = 30
"""Time limit of a candidate; it covers the start of a process where the candidate before crashed."""

TRACE, SECONDS = 0, 1
"""Places of the trace and of the times in a record as JSON; its target and its arguments follow."""

REPEAT_MS = 20
"""The least time that one of a candidate's three timings covers, milliseconds."""


class Layer:
    """A task with the measurements of its candidates."""

    def __init__(self, task: TuningTask, workload: ms.database.Workload, context: ms.TuneContext) -> None:
        self.task = task
        self.workload = workload
        self.context = context
        self.measured = 0
        self.best = math.inf
        self.exhausted = False

    def count(self, seconds: float) -> None:
        """Count one measurement."""
        self.measured += 1
        if seconds < FAILED_SECONDS:
            self.best = min(self.best, seconds)


class Bench:
    """Builds and times candidates, in processes that are started once, and again after a crash."""

    def __init__(self, target: Target, report: Report, board: Board) -> None:
        self.target = target
        self.report = report
        self.board = board
        machine = architecture(target.code.triple)
        self.builder = PopenPoolExecutor(target.code.cores, BUILD_SECONDS, _prepare, (machine,))
        self.runner = ms.runner.LocalRunner(RUN_SECONDS, ms.runner.EvaluatorConfig(1, 3, REPEAT_MS))

    def measure(
        self, layer: Layer, candidates: Sequence[Any]
    ) -> list[tuple[ms.runner.RunnerResult, ms.database.TuningRecord]]:
        """Each candidate's result and its record, which is reported as soon as it is known."""
        measured = []
        built = self._built(candidates)
        with self.board():
            for candidate, artifact in zip(candidates, built, strict=True):
                result = self._run(candidate, artifact)
                record = _record(layer, candidate, result, self.target)
                described = record.as_json()
                self.report({"records": [json.dumps([layer.task.key, described])]})
                layer.count(seconds(described))
                measured.append((result, record))
        return measured

    def _built(self, candidates: Sequence[Any]) -> list[tuple[str | None, str | None]]:
        """The library of each candidate, or the reason why it has none; built in parallel, with nothing
        else being timed."""
        modules = [(candidate.sch.mod, self.target) for candidate in candidates]
        ended = self.builder.map_with_error_catching(lambda asked: _build(*asked), modules)
        return [
            (one.value, None) if one.status == StatusKind.COMPLETE else (None, str(one.value) or "timed out")
            for one in ended
        ]

    def _run(self, candidate: Any, artifact: tuple[str | None, str | None]) -> ms.runner.RunnerResult:
        path, error = artifact
        if path is None:
            return ms.runner.RunnerResult(None, error)
        if not self.target.reach.is_local:
            return board.timed(path, candidate.args_info, self.target)
        (future,) = self.runner.run([ms.runner.RunnerInput(path, "cpu", candidate.args_info)])
        return future.result()


def tasks(request: Mapping[str, Any]) -> list[TuningTask]:
    """The tasks of the request."""
    return [
        TuningTask(ConvWorkload.from_key(task["workload"]), task["algorithm"], task["count"])
        for task in request["tasks"]
    ]


def target(request: Mapping[str, Any]) -> Target:
    """The target to measure on; the intrinsics that its schedules may call are registered
    when this returns."""
    asked: Target = TypeAdapter(Target).validate_python(request["target"])
    intrinsics.register(architecture(asked.code.triple))
    return asked


def code(request: Mapping[str, Any]) -> CodeTarget:
    """The code target to schedule for; the intrinsics that its schedules may call are registered
    when this returns."""
    asked: CodeTarget = TypeAdapter(CodeTarget).validate_python(request["code"])
    intrinsics.register(architecture(asked.triple))
    return asked


@cache
def workload_of(task: TuningTask) -> ms.database.Workload:
    """The task's computation, as MetaSchedule's databases know it."""
    return ms.database.Workload(tvm.IRModule({"main": definition(task)}))


def records(log: Path, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The task and the record, as JSON, of each line of these tasks."""
    if log.exists():
        for line in log.read_text().splitlines():
            key, record = json.loads(line)
            if key in keys:
                yield key, record


def seconds(record: Any) -> float:
    """The mean of a record's times; the record as JSON."""
    times: list[float] = record[SECONDS]
    return sum(times) / len(times)


def _prepare(machine: str) -> None:
    """Register the intrinsics that candidates may call; runs in a process that builds."""
    intrinsics.register(machine)


def _build(module: tvm.IRModule, target: Target) -> str:
    """Build a candidate and return its library's path; runs in a process that builds."""
    built = tvm.driver.build(module, target=tvm_target(target.code))
    if not target.reach.is_local:
        return board.exported(built, target)
    return str(ms.builder.local_builder.default_export(built))


def _record(
    layer: Layer, candidate: Any, result: ms.runner.RunnerResult, target: Target
) -> ms.database.TuningRecord:
    """MetaSchedule's record of the candidate; one that failed took 1e10 seconds."""
    times = [float(second) for second in result.run_secs or [10 * FAILED_SECONDS]]
    return ms.database.TuningRecord(
        candidate.sch.trace, layer.workload, times, tvm_target(target.code), candidate.args_info
    )
