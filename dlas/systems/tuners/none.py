"""No tuning: every layer keeps its algorithm's untuned schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import config
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.program.kernel_choice import NOT_TUNED


@dataclass(frozen=True)
class Settings(config.Tuner):
    """Settings of no tuning: none of its own."""


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: Settings, log: Path, store: TuningRecords
) -> Tuning:
    """Measure nothing and write no log."""
    return Tuning()


def best_schedules(
    log: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """No schedule for any task."""
    return Schedules(missing={task.key: NOT_TUNED for task in tasks})
