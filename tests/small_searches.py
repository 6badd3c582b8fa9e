"""Small searches, light to import: processes that search and do nothing else take no torch and no pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlas.hardware.no_torch import without_torch
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Tuning, TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.metaschedule import tuner as metaschedule

SMALL = ConvWorkload(1, 8, 8, 8, 16, (3, 3), padding=(1, 1, 1, 1), bias=True, activation="relu")
TASKS = [
    TuningTask(SMALL, "direct", count=3),
    TuningTask(replace(SMALL, out_channels=24, stride=(2, 2)), "gemm"),
]

START = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"


def ansor_settings(trials: int) -> ansor.Settings:
    return ansor.Settings("ansor", "dlas.systems.tuners.ansor", trials=trials, population=32, generations=1)


def by_ansor(tasks: list[TuningTask], host: Target, trials: int, log: Path) -> Tuning:
    """With the store beside the log."""
    return ansor.tune(tasks, host, ansor_settings(trials), log, TuningStore(log.parent / "store"))


def metaschedule_settings(trials: int) -> metaschedule.Settings:
    return metaschedule.Settings(
        "metaschedule", "dlas.systems.tuners.metaschedule", trials=trials, population=16, generations=1
    )


def by_metaschedule(tasks: list[TuningTask], host: Target, trials: int, log: Path) -> Tuning:
    """With the store beside the log."""
    return metaschedule.tune(
        tasks, host, metaschedule_settings(trials), log, TuningStore(log.parent / "store")
    )


def started(program: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    """A process that runs the program, which may import this module and others of the tests."""
    command = [sys.executable, "-c", START + program, *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=without_torch(os.environ), **more)
