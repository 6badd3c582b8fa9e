"""Conformance suite of tuners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.interfaces.tuner import Tuner
from dlas.plugins import contracts

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from dlas.interfaces.targets.target import Target
    from dlas.interfaces.tuning import TuningTask


def check_tuner(
    module: Tuner, settings: config.Tuner, tasks: Sequence[TuningTask], target: Target, folder: Path
) -> None:
    """Tune the tasks, with a log and a store in `folder`. AssertionError where a task has neither a kernel
    nor a reason, or where the log does not give the same kernels again."""
    import tvm_ffi

    from dlas.systems.tuners.common.task import definition
    from dlas.systems.tuners.common.tuning_store import TuningStore

    lacking = contracts.of_module(module, Tuner)
    assert not lacking, "; ".join(lacking)
    assert isinstance(settings, module.Settings), "settings are its own Settings"
    log = folder / "log.json"
    module.tune(tasks, target, settings, log, TuningStore(folder / "store"))
    found, again = (module.best_schedules(log, tasks, target.code) for _ in range(2))
    told = sorted([*found.found, *found.missing])
    assert told == sorted(task.key for task in tasks), "a task has a kernel, or a reason why it has none"
    assert all(found.missing.values()), "a task without a kernel has a reason"
    assert found.found.keys() == again.found.keys(), "the log gives other kernels the second time"
    for task in tasks:
        if task.key in found.found:
            kernel = found.found[task.key]
            assert tvm_ffi.structural_equal(kernel, again.found[task.key]), "the log gives another kernel"
            assert _arguments(kernel) == _arguments(definition(task)), "its kernel takes other arguments"


def _arguments(function: PrimFunc) -> list[str]:
    """The shapes and data types."""
    return [f"{list(each.shape)} {each.dtype}" for each in function.params]
