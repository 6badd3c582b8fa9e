"""Single files of the bundles that runs keep: a report of many points fetches no whole bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlas.analysis.layer_row import LayerRow
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.bundle import Bundle
from dlas.bundle.layer_table import read_layers
from dlas.errors import UserError
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Measurement
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import BUNDLE, Record, Store, fetch_file

PLACES = Bundle(Path(BUNDLE))
"""Places of the parts below a run's artifacts."""

YARDSTICK = "timing.yardstick"
"""Setting of a run: whether yardsticks were timed beside its sessions."""


def timing(store: Store, run: Record, folder: Path) -> Measurement:
    """The measurement of a finished point, fetched into the folder if need be; UserError where it can't be
    had."""
    return measurement.read(fetch_file(store, run, PLACES.timing, folder))


def layers(store: Store, run: Record, folder: Path) -> list[LayerRow]:
    """The table of layers of a finished point, fetched into the folder if need be; UserError where it can't
    be had."""
    return read_layers(fetch_file(store, run, PLACES.layers, folder))


def with_medians(point: MeasuredPoint, found: Measurement) -> MeasuredPoint:
    """The point with the medians of its sessions, and their ratios to the yardsticks, that its bundle has."""
    ratios = {name: found.paces(name) for name in found.yardsticks}
    return replace(point, session_medians_ms=found.session_medians_ms, yardstick_ratios=ratios)


def with_sessions(store: Store, runs: Sequence[Record], folder: Path) -> list[MeasuredPoint]:
    """The measured point of each run, with the medians of its sessions, and their ratios to the yardsticks,
    from its bundle where the run doesn't tell them, as those of earlier versions; one whose bundle can't be
    read stays without."""
    return [
        _with_sessions(store, run, point, folder)
        for run, point in zip(runs, measured_points(runs), strict=True)
    ]


def _with_sessions(store: Store, run: Record, point: MeasuredPoint, folder: Path) -> MeasuredPoint:
    untold = run.params.get(YARDSTICK) == "True" and not point.yardstick_ratios
    if point.status != FINISHED or (point.session_medians_ms and not untold):
        return point
    try:
        return with_medians(point, timing(store, run, folder))
    except UserError:
        return point
