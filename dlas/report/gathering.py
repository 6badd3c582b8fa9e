"""What a report is about: the points of a sweep, and what their bundles tell."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dlas.analysis import naming, pace
from dlas.analysis.layer_row import LayerRow
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.analysis.tables.fronts import unbeaten
from dlas.analysis.tables.layers import Network
from dlas.errors import UserError
from dlas.figures.samples import Samples, samples_of
from dlas.figures.tuning import Course
from dlas.report import reading
from dlas.report.tuning_course import course
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import Record, Store, fetch_file

COURSES = 24
"""Tuning logs that are read: one has megabytes, and a figure has no room for more lines."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class Gathered:
    """The points of a sweep, at one pace, and what was found in their bundles."""

    points: tuple[MeasuredPoint, ...]
    names: Mapping[str, str]
    """The short name of each point by the id of its run."""
    samples: tuple[Samples, ...]
    layers: tuple[Network, ...]
    """The layers of each point whose bundle tells them; those of the front first."""
    courses: tuple[Course, ...]
    problems: tuple[str, ...]
    """What could not be read, and why."""


def gather(store: Store, runs: Sequence[Record]) -> Gathered:
    """Read what there is of each finished point's bundle, one after the other."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        return _gather(store, runs, Path(folder) / "fetched")


def _gather(store: Store, runs: Sequence[Record], fetched: Path) -> Gathered:
    told = measured_points(runs)
    named = naming.of(told)
    names = {point.run_id: named.label(point) for point in told}
    parts = _Parts(store, {run.run_id: run for run in runs}, names, fetched)
    points: list[MeasuredPoint] = []
    samples: list[Samples] = []
    layers: dict[str, tuple[LayerRow, ...]] = {}
    for point in told:
        timing = parts.of(point, reading.timing)
        points.append(point if timing is None else reading.with_medians(point, timing))
        if timing is not None:
            samples.append(samples_of(names[point.run_id], timing))
        rows = parts.of(point, reading.layers)
        if rows is not None:
            layers[point.run_id] = tuple(rows)
    points = pace.at_one_pace(points)
    ordered = _front_first(points)
    tuned = [point for point in ordered if point.tuning_trials and point.run_id in layers]
    courses = [
        parts.of(point, _course_of(point, names[point.run_id], layers[point.run_id]))
        for point in tuned[:COURSES]
    ]
    return Gathered(
        tuple(points),
        names,
        tuple(samples),
        tuple(
            Network(names[one.run_id], layers[one.run_id], one.roofs)
            for one in ordered
            if one.run_id in layers
        ),
        tuple(one for one in courses if one is not None),
        tuple(parts.problems),
    )


@dataclass(frozen=True)
class _Parts:
    """Reads parts of bundles, and keeps what could not be read."""

    store: Store
    runs: Mapping[str, Record]
    names: Mapping[str, str]
    fetched: Path
    """Folder for what has to be copied to be read, there meanwhile."""
    problems: list[str] = field(default_factory=list)

    def of(self, point: MeasuredPoint, read: Callable[[Store, Record, Path], Part]) -> Part | None:
        """What `read` gives of a finished point; None where it raises a UserError."""
        if point.status != FINISHED:
            return None
        try:
            return read(self.store, self.runs[point.run_id], self.fetched)
        except UserError as error:
            self.problems.append(f"{self.names[point.run_id]}: {error.problem}")
            return None
        finally:
            if self.fetched.exists():
                shutil.rmtree(self.fetched)


def _course_of(
    point: MeasuredPoint, name: str, layers: Sequence[LayerRow]
) -> Callable[[Store, Record, Path], Course | None]:
    def read(store: Store, run: Record, folder: Path) -> Course | None:
        logs = fetch_file(store, run, reading.PLACES.tuning, folder)
        return course(name, point.choices.get("tuner", ""), logs, layers)

    return read


def _front_first(points: Sequence[MeasuredPoint]) -> list[MeasuredPoint]:
    front = unbeaten(points)
    first = {point.run_id for point in front}
    return [*front, *(point for point in points if point.run_id not in first)]
