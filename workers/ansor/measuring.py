"""How Ansor's candidates are built, timed and recorded: here, or on a board elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import elsewhere
import tvm
from elsewhere import Ask
from processes import BUILD_SECONDS, keep_processes
from tvm.auto_scheduler import LocalBuilder, LocalRunner, RecordToFile
from tvm.auto_scheduler.measure import MeasureCallback, ProgramBuilder, ProgramRunner, local_run

RUN_SECONDS = 10


@dataclass(frozen=True)
class Measuring:
    """What Ansor's search is given."""

    builder: ProgramBuilder
    runner: ProgramRunner
    recorders: tuple[MeasureCallback, ...] = ()
    """What writes the log, where the runner does not."""


def measuring(request: Mapping[str, Any], ask: Ask) -> Measuring:
    """As the request says."""
    return _elsewhere(request, ask) if request["elsewhere"] else _here(request, ask)


def time_alone(ask: Ask) -> None:
    """Let Ansor's runner have the board for itself, and give it back after each batch."""

    def run(*batch: Any) -> Any:
        ask({"board": "take"})
        try:
            return local_run(*batch)
        finally:
            ask({"board": "give back"})

    tvm._ffi.register_func("auto_scheduler.local_runner.run", run, override=True)


def _here(request: Mapping[str, Any], ask: Ask) -> Measuring:
    keep_processes(request["cores"], request["import_roots"])
    time_alone(ask)
    return Measuring(
        LocalBuilder(timeout=BUILD_SECONDS, n_parallel=request["cores"]),
        LocalRunner(timeout=RUN_SECONDS, number=1, repeat=3, min_repeat_ms=request["search"]["repeat_ms"]),
        (RecordToFile(request["log"]),),
    )


def _elsewhere(request: Mapping[str, Any], ask: Ask) -> Measuring:
    return Measuring(elsewhere.builder(ask, request["builders"]), elsewhere.runner(ask, request["log"]))
