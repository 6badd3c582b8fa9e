"""The tables of a study: networks, what compressing costs them, and latencies by how they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from dlas.analysis import digits, intervals, naming, pace
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import NOTHING, Cell, Table, number, text

EMULATED = " (emulated)"
UNSTEADY = " ?"
"""Mark behind the latency of an unsteady board."""


def baselines(points: Sequence[MeasuredPoint]) -> Table:
    """Each network before compression: accuracy, parameters, multiply-accumulates, bytes."""
    rows = []
    for (dataset, model), found in grouped(points, lambda point: _chosen(point, "dataset", "model")).items():
        accuracies = _known(point.accuracy_dense for point in found)
        cells = [
            _first((point.parameters_dense for point in found), digits.scaled_count),
            _first((point.macs_dense for point in found), digits.scaled_count),
            _first((point.dense_bytes for point in found), digits.scaled_bytes),
        ]
        if accuracies or any(cell.value is not None for cell in cells):
            rows.append((text(dataset), text(model), _spread(accuracies, "{:.4f}"), *cells))
    headings = ("dataset", "model", "accuracy", "parameters", "MACs", "float32")
    return Table("baselines", "Networks before compression", headings, tuple(rows))


def drops(points: Sequence[MeasuredPoint]) -> Table:
    """The accuracy that each compression costs each network, in percentage points."""
    named = naming.of(points)
    kinds = list(dict.fromkeys(named.level(point, "compression") for point in points if point.steps))
    rows = []
    for (dataset, model), found in grouped(points, lambda point: _chosen(point, "dataset", "model")).items():
        cells = []
        for kind in kinds:
            of_kind = [point for point in found if named.level(point, "compression") == kind]
            cells.append(_spread(_known(map(_drop, of_kind)), "{:.1f}"))
        values = [cell.value for cell in cells if cell.value is not None]
        if values:
            rows.append((text(dataset), text(model), *_marked(cells, min(values))))
    title = "Accuracy that a compression costs, in percentage points"
    notes = ("A number below zero is a gain: fine-tuning trains further.",) if rows else ()
    return Table("accuracy_drop", title, ("dataset", "model", *kinds), tuple(rows), notes)


def latencies(points: Sequence[MeasuredPoint]) -> Table:
    """The latency of each network on each target, by compression (rows) and by all else that varies
    (columns); the best of a row is marked, and what can't be told from it."""
    timed = [point for point in points if point.timed]
    named = naming.of(timed)
    fixed = ("dataset", "model", "target", "compression")
    others = [factor for factor in named.factors if factor not in fixed]

    def column(point: MeasuredPoint) -> str:
        return ", ".join(named.level(point, factor) for factor in others) or "median ms"

    def row(point: MeasuredPoint) -> tuple[str, ...]:
        dataset, model, target = _chosen(point, "dataset", "model", "target")
        place = f"{target}{EMULATED * point.emulated}"
        return dataset, model, place, named.level(point, "compression")

    columns = list(dict.fromkeys(map(column, timed)))
    rows = []
    for key, found in grouped(timed, row).items():
        by_column = grouped(found, column)
        fastest = [min(by_column[one], key=_latency) if one in by_column else None for one in columns]
        rows.append((*map(text, key), *_latency_cells(fastest)))
    notes = ["*: the lowest of its row, and what the intervals can't tell from it."] if rows else []
    notes += pace.notes(timed)
    if any(point.unsteady for point in timed):
        notes.append("?: timed on an unsteady board; the time may be too long.")
    if len(timed) > sum(cell.value is not None for each in rows for cell in each):
        notes.append("Where several points share a cell, it has the fastest.")
    headings = ("dataset", "model", "target", "compression", *columns)
    return Table("latency", "Latency in ms", headings, tuple(rows), tuple(notes))


def grouped(
    points: Iterable[MeasuredPoint], key: Callable[[MeasuredPoint], object]
) -> dict[Any, list[MeasuredPoint]]:
    """The points by a key, in the order in which each key comes first."""
    found: dict[Any, list[MeasuredPoint]] = defaultdict(list)
    for point in points:
        found[key(point)].append(point)
    return found


def _chosen(point: MeasuredPoint, *layers: str) -> tuple[str, ...]:
    return tuple(point.choices.get(layer, NOTHING) for layer in layers)


def _latency(point: MeasuredPoint) -> float:
    assert point.latency_ms is not None
    return point.latency_ms


def _latency_cells(points: Sequence[MeasuredPoint | None]) -> list[Cell]:
    """A cell for each point, the fastest and those whose intervals reach down to its own marked."""
    found = [(point, intervals.latency_interval(point)) for point in points if point is not None]
    _, limit = min(found, key=lambda pair: _latency(pair[0]))
    cells = []
    for point in points:
        interval = None if point is None else intervals.latency_interval(point)
        if point is None or interval is None or limit is None:
            cells.append(Cell(NOTHING))
            continue
        shown = digits.supported(_latency(point), interval) + UNSTEADY * bool(point.unsteady)
        alone = len(found) == 1
        cells.append(Cell(shown, _latency(point), best=not alone and interval.low <= limit.high))
    return cells


def _drop(point: MeasuredPoint) -> float | None:
    """Percentage points."""
    if point.accuracy_dense is None or point.accuracy_compressed is None:
        return None
    return 100 * (point.accuracy_dense - point.accuracy_compressed)


def _marked(cells: Sequence[Cell], best: float) -> list[Cell]:
    alone = sum(cell.value is not None for cell in cells) == 1
    return [replace(cell, best=not alone and cell.value == best) for cell in cells]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _first(values: Iterable[float | None], form: Callable[[float], str]) -> Cell:
    return number(next(iter(_known(values)), None), form)


def _spread(values: Sequence[float], form: str) -> Cell:
    """The mean, with the lowest and the highest where they differ."""
    if not values:
        return Cell(NOTHING)
    mean = sum(values) / len(values)
    low, high = form.format(min(values)), form.format(max(values))
    between = "" if low == high else f" ({low} to {high})"
    return Cell(f"{form.format(mean)}{between}", mean)
