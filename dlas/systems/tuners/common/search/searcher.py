"""A tuner that searches, and the tasks that it can search."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas.interfaces.tuning import Record, TuningTask

NOT_MEASURED = "no candidate of it was measured with success"
"""Reason of a task without a schedule where nothing more is known."""


def is_searchable(task: TuningTask) -> bool:
    """Whether the task's algorithm is written in TE."""
    from dlas.systems.program import kernels

    return kernels.is_searchable(task.algorithm)


@dataclass(frozen=True)
class Searcher:
    """A tuner that searches."""

    name: str
    """Name for people."""
    version: str
    """Name in the store, with the version of the tuner's TVM: other versions' records are not read."""
    read: Callable[[str], Record]
    """The record in a line of its log; ValueError where it is none of its own."""
    measure: Callable[[Sequence[TuningTask], int, Path], Generator[Sequence[str], None, None]]
    """(tasks, trials, known): measures candidates until the file `known` and the new records together hold so
    many of these tasks. It has the board for itself while it times candidates.

    It yields lines of records as soon as they are measured, and writes none of them down.
    """
    serves: Callable[[TuningTask], bool] = is_searchable
    """Whether the tuner can search a task; tasks that it can't are left out."""


def searchable(tasks: Sequence[TuningTask]) -> list[TuningTask]:
    """The tasks whose algorithm is written in TE."""
    return [task for task in tasks if is_searchable(task)]


def not_searchable(tasks: Sequence[TuningTask], tuner: str) -> dict[str, str]:
    """The reason of each task that is not `searchable`, by its key."""
    reason = f"its kernel is written in TensorIR, which {tuner} does not search"
    return {task.key: reason for task in tasks if not is_searchable(task)}
