"""The fastest schedules of a log of MetaSchedule's, applied anew in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tvm
from tvm.s_tir import Schedule, Trace
from tvm.s_tir import meta_schedule as ms

from dlas.errors import last_line
from dlas.hardware.targets.llvm import tvm_target
from dlas.printable import printable
from dlas.systems.tuners.metaschedule import measuring
from dlas.systems.tuners.metaschedule.measuring import Report, seconds
from dlas.systems.tuners.metaschedule.tuner import FAILED_SECONDS

TRACE, TARGET = 0, 2
"""Places of the trace and of the target in a record as JSON."""


def replay(request: Mapping[str, Any], report: Report) -> None:
    """Report each task's fastest schedule in `log` that applies, and what was wrong with faster ones."""
    tasks = {task.key: task for task in measuring.tasks(request)}
    measured: dict[str, list[Any]] = {key: [] for key in tasks}
    ours = str(tvm_target(measuring.code(request)))
    for key, record in measuring.records(Path(request["log"]), tasks):
        measured_for = _target(record)
        if measured_for != ours and not request["foreign"]:
            report({"foreign": measured_for})
            return
        if seconds(record) < FAILED_SECONDS:
            measured[key].append(record)
    for key, records in measured.items():
        workload = measuring.workload_of(tasks[key])
        for record in sorted(records, key=seconds)[: request["best"]]:
            try:
                function = _scheduled(record, workload)
            except Exception as error:  # TVM's errors have no class of their own
                report({"task": key, "refused": f"its schedule no longer applies: {last_line(error)}"})
                continue
            report({"task": key, "function": tvm.ir.save_json(function)})
            break


def _target(record: Any) -> str:
    """The target of a record (given as JSON), as TVM writes it; as the record has it where TVM
    can't read that."""
    try:
        return str(tvm.target.Target(record[TARGET]))
    except Exception:  # TVM's errors have no class of their own
        return printable(record[TARGET])


def _scheduled(record: Any, workload: ms.database.Workload) -> tvm.tirx.PrimFunc:
    """The kernel that a record, as JSON, describes; an exception of TVM's where it does not apply."""
    schedule = Schedule(workload.mod, error_render_level="fast")
    Trace.apply_json_to_schedule(record[TRACE], schedule)
    return schedule.mod["main"]
