"""Distance between two convolutions: how little use a schedule of the one may be to the other."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from dlas.interfaces.tuning import Record, TuningTask
from dlas.interfaces.tuning_records import RecordsOfTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.printable import printable

logger = logging.getLogger(__name__)

OTHER_LOOPS = 4.0
"""Distance where the loops are others, at best with some inner tiles in common: for another kernel,
stride, dilation or layout, another kind of groups, a border where there is none. As far as channels
sixteen times as many."""

OTHER_EPILOGUE = 0.25
"""Distance for a bias, residual or activation that the other has not: a little more work on each output."""

NEXT_FASTEST = 1.0
"""Distance from a layer's fastest schedule to its second fastest: as far as that of a layer with
twice the channels."""

RELATIVES = 6
"""Workloads whose records are read for one layer."""

SEEDS = 4
"""Largest number of relatives' schedules that a layer's search starts from."""

SPARE = 3
"""Records of relatives to read for each one that is wanted: some do not apply, or give the same."""


def distance(one: ConvWorkload, other: ConvWorkload) -> float:
    """Distance of two workloads: 0 for equals, the same both ways, infinite where data types or
    weight formats differ.

    The sum of |log2| of the ratios of batch, channels, rows and columns, and a constant for each thing that
    makes the loops others.
    """
    if (one.dtype, one.format) != (other.dtype, other.format):
        return math.inf
    extents = zip(_extents(one), _extents(other), strict=True)
    return (
        sum(abs(math.log2(mine / its)) for mine, its in extents)
        + OTHER_LOOPS * _differing(_loops(one), _loops(other))
        + OTHER_EPILOGUE * _differing(_epilogue(one), _epilogue(other))
    )


def relatives_of(
    tasks: Sequence[TuningTask], shelf: RecordsOfTarget, read: Callable[[str], Record], candidates: int
) -> dict[str, list[tuple[str, str]]]:
    """Records of relatives, with their workloads' keys, for each task that `shelf` has no time of: more than
    `candidates`, since some may not fit the task."""
    found = {}
    for task in tasks:
        if all(known.seconds is None for known, _ in _own_records(task, shelf, read)):
            records = records_of_relatives(task, shelf, read, SPARE * candidates)
            found[task.key] = [(workload.key, record) for workload, record in records]
    return {key: records for key, records in found.items() if records}


def records_of_relatives(
    task: TuningTask, shelf: RecordsOfTarget, read: Callable[[str], Record], count: int
) -> list[tuple[ConvWorkload, str]]:
    """At most `count` records that `shelf` has of the task's relatives by the same algorithm, each with its
    workload: those of near and fast schedules first."""
    ranked: list[tuple[float, ConvWorkload, str]] = []
    for far, relative, records in _relatives(task, shelf, read):
        last = {one.candidate or record: (one.seconds, record) for one, record in records}
        fastest = sorted((seconds, record) for seconds, record in last.values() if seconds is not None)
        ranked += [
            (far + NEXT_FASTEST * rank, relative.workload, record)
            for rank, (_, record) in enumerate(fastest[:count])
        ]
    ranked.sort(key=lambda one: one[0])
    return [(workload, record) for _, workload, record in ranked[:count]]


def _relatives(
    task: TuningTask, shelf: RecordsOfTarget, read: Callable[[str], Record]
) -> Iterator[tuple[float, TuningTask, list[tuple[Record, str]]]]:
    """The nearest tasks that have records, with their distances, nearest first."""
    found = ((_apart(task, other), other) for other in shelf.tasks(task.algorithm) if other.key != task.key)
    near = sorted((pair for pair in found if math.isfinite(pair[0])), key=lambda pair: pair[0])
    kept = ((far, other, _own_records(other, shelf, read)) for far, other in near)
    return islice((relative for relative in kept if relative[2]), RELATIVES)


def _own_records(
    task: TuningTask, shelf: RecordsOfTarget, read: Callable[[str], Record]
) -> list[tuple[Record, str]]:
    """The records in the file of `task`. A store that somebody else wrote may have other lines there, whose
    algorithms nobody asked for: they are left out, with a warning."""
    lines = shelf.records(task)
    found = [(known, line) for line in lines if (known := _read(line, read)) and known.task == task.key]
    if len(found) < len(lines):
        logger.warning(
            "%d lines of %s are no records of its layer, and are left out",
            len(lines) - len(found),
            printable(shelf.file(task)),
        )
    return found


def _read(line: str, read: Callable[[str], Record]) -> Record | None:
    try:
        return read(line)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        return None


def _apart(one: TuningTask, other: TuningTask) -> float:
    """Distance of two tasks: half the weights are as far as half the channels."""
    return distance(one.workload, other.workload) + abs(math.log2(one.density / other.density))


def _extents(workload: ConvWorkload) -> tuple[int, ...]:
    return (
        workload.batch,
        workload.group_in_channels,
        workload.group_out_channels,
        workload.groups,
        workload.out_height,
        workload.out_width,
    )


def _loops(workload: ConvWorkload) -> tuple[object, ...]:
    groups = "one" if workload.groups == 1 else "depthwise" if workload.group_in_channels == 1 else "some"
    return (
        workload.kernel,
        workload.stride,
        workload.dilation,
        groups,
        any(workload.padding),
        workload.input_block,
        workload.output_block,
    )


def _epilogue(workload: ConvWorkload) -> tuple[object, ...]:
    return workload.bias, workload.residual, workload.activation


def _differing(mine: tuple[object, ...], its: tuple[object, ...]) -> int:
    return sum(one != other for one, other in zip(mine, its, strict=True))
