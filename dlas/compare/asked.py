"""The points that are to be timed again, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from dlas import tracking
from dlas.analysis.digits import scaled_bytes
from dlas.errors import UserError, require
from dlas.printable import printable
from dlas.tracking.store import Record, Store

MOST_POINTS = 12
"""Processes that are alive at once, as many as there are points: a turn of each has to be over while the
machine's pace is the same."""

MEMORY = "memory.peak_bytes"
"""Metric of a point: the most memory that a session of it held."""

NAME_SOME = "run=<id>,<id> for some of them"


@dataclass(frozen=True)
class Asked:
    """The points, the first of which the others are compared with."""

    points: Sequence[Record]
    above: Record
    """The run that the result is kept under: the sweep where it alone was asked for, else the first point."""


def of(store: Store, run_ids: Sequence[str]) -> Asked:
    """The points of these runs, a sweep's finished ones of the first point's target in its place.

    Raises UserError where there is no such run, where there is one point alone, and where there are too many
    to be alive at once.
    """
    found: dict[str, Record] = {}
    for run_id in run_ids:
        points, unfinished = tracking.finished(store, run_id)
        own = next(iter(found.values()), points[0])
        elsewhere = [one for one in points if len(points) > 1 and _target(one) != _target(own)]
        found |= {one.run_id: one for one in points if one not in elsewhere}
        for one in unfinished:
            _tell_left_out(one, one.status)
        for one in elsewhere:
            _tell_left_out(one, f"of another target than {own.run_id}, {own.name}")
    points = list(found.values())
    _require_fitting(points)
    whole = len(run_ids) == 1
    return Asked(points, tracking.fetch(store, run_ids[0]) if whole else points[0])


def _target(point: Record) -> dict[str, str]:
    return {name: value for name, value in point.params.items() if name.startswith("target.")}


def _tell_left_out(point: Record, why: str) -> None:
    print(printable(f"left out   {point.run_id}, {point.name}: it is {why}"))


def _require_fitting(points: Sequence[Record]) -> None:
    count = len(points)
    require(count > 1, "run", "there is one point alone", "run=<id>,<id>, or a sweep of several points")
    if count > MOST_POINTS:
        raise UserError(
            f"{count} points are too many to take turns, {MOST_POINTS} are the most",
            key="run",
            remedy=NAME_SOME,
        )
    held = sum(point.metrics.get(MEMORY, 0.0) for point in points)
    free = psutil.virtual_memory().available
    if held > free:
        raise UserError(
            f"{count} points at once hold {scaled_bytes(held)} of memory, and {scaled_bytes(free)} is free",
            key="run",
            remedy=NAME_SOME,
        )
