"""Tuning of all kernels of a network: schedules by the declared tuner, parameters where a kernel has some.

Tuners search the schedules of kernels in TE. Those in TensorIR are searched by `kernel_parameters` beside
every tuner that searches, out of the same budget and into the same store, and get the parameters of similar
layers beside `transfer`; each keeps a log of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlas import config
from dlas.files.documents import Document, Values
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules, Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.plugins.registry import TUNERS
from dlas.systems.program.kernels import has_parameters
from dlas.systems.tuners.common.old_records import with_lasting_names
from dlas.systems.tuners.common.search.settings import SearchSettings
from dlas.systems.tuners.common.transferring import TransferSettings, without_relatives
from dlas.systems.tuners.kernel_parameters import tuning as parameters

SCHEDULES, PARAMETERS = "log.json", "parameters.json"
"""Names of the logs in a folder: the tuner's own, and that of parameters where the network has
kernels with some."""

LOGS = (SCHEDULES, PARAMETERS)


def _with_lasting_names(values: Values) -> Values:
    """The values of version 1, which named algorithms by the dotted paths of their modules, with
    the names of today."""
    layers = [layer | {"task": with_lasting_names(layer["task"])} for layer in values["layers"]]
    return {**values, "layers": layers}


SUMMARY = Document("summary of a search", version=2, converters=(_with_lasting_names,))
"""Document of a search's summary, beside its logs: a `Tuning` without `best`."""


def tune(
    tasks: Sequence[TuningTask], target: Target, settings: config.Tuner, folder: Path, store: TuningRecords
) -> Tuning:
    """Search as `settings` say; the logs of both searches, and the summary, are written to `folder`.

    Each search has its layers' share of the trials. That over parameters comes first: where it needs fewer,
    the other has the rest.
    """
    tuner = TUNERS.load(settings.registered)
    mine, others = _split(tasks)
    if mine and isinstance(settings, TransferSettings):
        found = parameters.transfer(mine, target, settings.candidates, folder / PARAMETERS, store)
        return _together(found, tuner.tune(others, target, settings, folder / SCHEDULES, store))
    if not (mine and isinstance(settings, SearchSettings)):
        tuning: Tuning = tuner.tune(tasks, target, settings, folder / SCHEDULES, store)
        return tuning
    share = math.ceil(settings.trials * len(mine) / len(tasks))
    found = parameters.tune(mine, target, share, folder / PARAMETERS, store)
    rest = settings.trials - min(found.trials, share)
    if not others or not rest:
        return found
    further = tuner.tune(others, target, replace(settings, trials=rest), folder / SCHEDULES, store)
    return _together(found, further)


def best_schedules(
    tuner: str, folder: Path, tasks: Sequence[TuningTask], target: CodeTarget, *, foreign: bool = False
) -> Schedules:
    """The best kernel of each task that has one in the logs in `folder`; `tuner` is a name of the registry.

    UserError where they were measured for another target, unless `foreign` ones are asked for.
    """
    module = TUNERS.load(tuner)
    if not (folder / PARAMETERS).exists():
        schedules: Schedules = module.best_schedules(folder / SCHEDULES, tasks, target, foreign=foreign)
        return schedules
    mine, others = _split(tasks)
    by_parameters = parameters.best_schedules(folder / PARAMETERS, mine, target, foreign=foreign)
    if issubclass(module.Settings, TransferSettings):
        by_parameters = without_relatives(by_parameters, folder / PARAMETERS, parameters.read)
    by_schedule: Schedules = module.best_schedules(folder / SCHEDULES, others, target, foreign=foreign)
    return Schedules(
        {**by_parameters.found, **by_schedule.found},
        {**by_parameters.missing, **by_schedule.missing},
        {**by_parameters.refused, **by_schedule.refused},
    )


def _split(tasks: Sequence[TuningTask]) -> tuple[list[TuningTask], list[TuningTask]]:
    """The tasks whose kernels have parameters, and the others."""
    return (
        [task for task in tasks if has_parameters(task.algorithm)],
        [task for task in tasks if not has_parameters(task.algorithm)],
    )


def _together(one: Tuning, other: Tuning) -> Tuning:
    return Tuning(
        trials=one.trials + other.trials,
        failed=one.failed + other.failed,
        seconds=one.seconds + other.seconds,
        best={**one.best, **other.best},
        layers=(*one.layers, *other.layers),
        stopped="; ".join(dict.fromkeys(filter(None, (one.stopped, other.stopped)))),
    )
