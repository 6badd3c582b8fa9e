"""Measurement of Ansor's candidates: they are built, timed and recorded here, or on a board elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elsewhere
import tvm
from elsewhere import Ask
from processes import BUILD_SECONDS, keep_processes
from results import texts
from tvm.auto_scheduler import (
    LocalBuilder,
    LocalRunner,
    MeasureInput,
    MeasureResult,
    save_records,
)
from tvm.auto_scheduler.measure import (
    ProgramBuilder,
    ProgramRunner,
    PythonBasedMeasureCallback,
    local_run,
)

RUN_SECONDS = 10


Report = Callable[[dict[str, Any]], None]


class Recording(PythonBasedMeasureCallback):
    """Write the records of every batch to the log, and report them."""

    def __init__(self, log: Path, report: Report) -> None:
        super().__init__()
        self.log = log
        self.report = report

    def callback(self, policy: object, inputs: Sequence[MeasureInput], results: Sequence[Any]) -> None:
        save_records(str(self.log), inputs, results)
        self.report({"records": texts(inputs, results)})


@dataclass(frozen=True)
class Measuring:
    """The parts of Ansor's search that measure: builder, runner and recorders."""

    builder: ProgramBuilder
    runner: ProgramRunner
    recorders: tuple[Recording, ...] = ()
    """Callbacks that write the log and report the records, where the runner does not."""


def measuring(request: Mapping[str, Any], log: Path, report: Report, ask: Ask) -> Measuring:
    """The measuring that the request asks for. Records go to `log`, and are reported."""
    return _elsewhere(request, log, report, ask) if request["elsewhere"] else _here(request, log, report, ask)


def time_alone(ask: Ask) -> None:
    """Let Ansor's runner have the board for itself, and give it back after each batch."""

    def run(*batch: Any) -> Any:
        ask({"board": "take"})
        try:
            return local_run(*batch)
        finally:
            ask({"board": "give back"})

    tvm._ffi.register_func("auto_scheduler.local_runner.run", run, override=True)


def _here(request: Mapping[str, Any], log: Path, report: Report, ask: Ask) -> Measuring:
    keep_processes(request["cores"], request["import_roots"])
    time_alone(ask)
    return Measuring(
        LocalBuilder(timeout=BUILD_SECONDS, n_parallel=request["cores"]),
        LocalRunner(timeout=RUN_SECONDS, number=1, repeat=3, min_repeat_ms=request["search"]["repeat_ms"]),
        (Recording(log, report),),
    )


def _elsewhere(request: Mapping[str, Any], log: Path, report: Report, ask: Ask) -> Measuring:
    recording = Recording(log, report)

    def record(measured: MeasureInput, result: MeasureResult) -> None:
        recording.callback(None, [measured], [result])

    return Measuring(elsewhere.builder(ask, request["builders"]), elsewhere.runner(ask, record))
