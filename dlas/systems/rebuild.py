"""Make a bundle's library again from its lowered program, weights and tuning log: no PyTorch, no search."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from dlas.bundle import Bundle
from dlas.errors import UserError
from dlas.hardware import target as targets
from dlas.systems import program
from dlas.systems.building import build_library
from dlas.systems.selection import KernelChoice, kernel_tasks
from dlas.systems.tuners.task import TuningTask

TUNERS = "dlas.systems.tuners."


def rebuild_library(root: Path, destination: Path) -> Path:
    """The library built from the verified bundle at `root`, in the new folder `destination`.

    Kernels that the bundle's run chose to keep tuned get the log's best schedule again. Raises UserError
    where the log does not hold one, or the bundle names a tuner that is not part of this package.
    """
    bundle = Bundle(root)
    lowered = program.load(bundle.model)
    target = targets.read(bundle.target)
    chosen = json.loads((bundle.tuning / "choices.json").read_text())
    tasks = kernel_tasks(lowered)
    kept = {
        choice.kernel: tasks[choice.kernel]
        for choice in (KernelChoice(**kernel) for kernel in chosen["kernels"])
        if choice.tuned
    }
    tuned = _replayed(bundle.tuning / "log.json", chosen["tuner"], kept, target)
    destination.mkdir(parents=True)
    library = destination / "model.so"
    build_library(lowered, tuned, target, chosen["opt_level"], library)
    return library


def _replayed(
    log: Path, tuner: str, kept: dict[str, TuningTask], target: targets.Target
) -> dict[str, object]:
    if not tuner.startswith(TUNERS):
        raise UserError(
            f"the bundle was tuned by {tuner}, which is not part of dlas and is not run from a bundle",
            key="bundle",
        )
    schedules = import_module(tuner).best_schedules(log, list(kept.values()), target)
    for kernel, task in kept.items():
        if task.key not in schedules.found:
            raise UserError(
                f"the tuning log gives no schedule for {kernel}: {schedules.missing[task.key]}", key="bundle"
            )
    return {kernel: schedules.found[task.key] for kernel, task in kept.items()}
