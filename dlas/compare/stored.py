"""Points, or sweeps, as they were measured."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlas import tracking
from dlas.analysis import pace
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import Table
from dlas.analysis.tables import comparing
from dlas.errors import UserError
from dlas.report import reading
from dlas.tracking.store import Record, Store


def table(store: Store, run_ids: Sequence[str]) -> Table:
    """The runs side by side; UserError where there is no such run, or a point is to be compared with a
    sweep."""
    runs = [tracking.fetch_made(store, run) for run in run_ids]
    are_sweeps = [run.tags.get(tracking.KIND) == tracking.SWEEP for run in runs]
    if all(are_sweeps):
        return comparing.sweeps(_observed(store, [_points(store, run) for run in runs]))
    if any(are_sweeps):
        remedy = "points only, or sweeps only"
        raise UserError("a point can't be compared with a sweep", key="run", remedy=remedy)
    return comparing.points([point for (point,) in _observed(store, [[run] for run in runs])])


def _points(store: Store, sweep: Record) -> list[Record]:
    found = tracking.points(store, sweep.run_id)
    if not found:
        remedy = "sweeps with points"
        raise UserError(f"the sweep '{sweep.run_id}' has no points", key="run", remedy=remedy)
    return found


def _observed(store: Store, groups: Sequence[Sequence[Record]]) -> list[list[MeasuredPoint]]:
    """The points of each group, all at one pace, with the settings as choices that differ between any two."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        records = [record for group in groups for record in group]
        points = iter(pace.at_one_pace(reading.with_sessions(store, records, Path(folder))))
        return [[next(points) for _ in group] for group in groups]
