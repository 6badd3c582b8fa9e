"""The course of a search, from the logs that tuners keep in a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlas.analysis.layer_row import LayerRow
from dlas.errors import UserError
from dlas.figures.tuning import Course
from dlas.files import documents
from dlas.plugins.registry import TUNERS

if TYPE_CHECKING:
    from dlas.interfaces.tuning import Record

MS_PER_S = 1000


def course(name: str, tuner: str, folder: Path, layers: Sequence[LayerRow]) -> Course | None:
    """The course from a bundle's folder of tuning logs; None where it has none that can be followed.

    UserError where a file is no such log.
    """
    # TVM comes with these, and most reports have no need of it.
    from dlas.stages.kernels.tuning import TUNING
    from dlas.systems.tuners import tuning
    from dlas.systems.tuners.common.old_records import with_lasting_names
    from dlas.systems.tuners.kernel_parameters import tuning as parameters

    summary = documents.read(tuning.SUMMARY, folder / TUNING)
    counts = {str(layer["task"]): int(layer["count"]) for layer in summary["layers"] if layer["best_ms"]}
    logs = ((tuning.PARAMETERS, parameters.read), (tuning.SCHEDULES, _reader(tuner)))
    records = [
        record
        for file, read in logs
        if read is not None and (folder / file).exists()
        for record in _records(folder / file, read)
    ]
    records = [replace(record, task=with_lasting_names(record.task)) for record in records]
    trials, best = _falling(records, counts)
    if not trials:
        return None
    untuned = [layer.untuned_ms for layer in layers if layer.workload]
    known = [ms for ms in untuned if ms is not None]
    whole = sum(known) if known and len(known) == len(untuned) else None
    return Course(name, np.array(trials), np.array(best), whole)


def _falling(records: Sequence[Record], counts: Mapping[str, int]) -> tuple[list[int], list[float]]:
    """Trials and milliseconds, from the trial on at which every task has a time."""
    best: dict[str, float] = {}
    trials, times = [], []
    for number, record in enumerate(records, 1):
        if record.task in counts and record.seconds is not None:
            best[record.task] = min(record.seconds, best.get(record.task, record.seconds))
        if best and len(best) == len(counts):
            trials.append(number)
            times.append(MS_PER_S * sum(counts[task] * seconds for task, seconds in best.items()))
    return trials, times


def _records(log: Path, read: Callable[[str], Record]) -> Iterator[Record]:
    with log.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                yield read(line)
            except (ValueError, TypeError, LookupError, ArithmeticError):
                raise UserError(f"line {number} is no record of a search", key=log.name) from None


def _reader(tuner: str) -> Callable[[str], Record] | None:
    """The function that reads a line of this tuner's log; none for a tuner that is not of this package, as
    nothing that a bundle names is imported."""
    if tuner not in TUNERS.names():
        return None
    read: Callable[[str], Record] | None = getattr(TUNERS.load(tuner), "read", None)
    return read
