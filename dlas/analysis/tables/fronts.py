"""The points that no other one beats, each with the command that deploys it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlas.analysis import digits, front, naming, pace
from dlas.analysis.front import Standing
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.naming import Naming
from dlas.analysis.table import Cell, Table, number, text
from dlas.analysis.tables.closing import latency, notes

AIMS = (front.ACCURACY, front.LATENCY, front.SIZE, front.MEMORY)


def unbeaten(points: Sequence[MeasuredPoint]) -> list[MeasuredPoint]:
    """The points of the front in accuracy, latency, size and memory, as far as these vary; the fastest
    first."""
    standings = front.standings(points, front.aims(points, AIMS))
    found = [
        point for point, standing in zip(points, standings, strict=True) if standing is Standing.UNBEATEN
    ]
    return sorted(found, key=lambda point: (front.contest(point), point.latency_ms or 0.0))


def table(points: Sequence[MeasuredPoint], redeploy: Callable[[str], str]) -> Table:
    """The front; `redeploy` gives the command for a run's id."""
    named, aims = naming.of(points), front.aims(points, AIMS)
    rows = [_row(point, named, redeploy) for point in unbeaten(points)]
    headings = (
        *named.columns,
        "accuracy",
        "median ms",
        "interval",
        "weights",
        "memory",
        "notes",
        "deploy it again",
    )
    names = ", ".join(aim.name for aim in aims)
    told = (
        f"Compared in {names}, among points of one data set and target. What the measurement can't tell "
        "apart is on the front together."
    )
    below = (told, *pace.notes(points))
    return Table("front", "Points that no other one beats", headings, tuple(rows), below if rows else ())


def _row(point: MeasuredPoint, named: Naming, redeploy: Callable[[str], str]) -> tuple[Cell, ...]:
    return (
        *map(text, named.told(point)),
        number(front.accuracy(point), "{:.4f}".format),
        *latency(point),
        number(point.format_bytes, digits.scaled_bytes),
        number(point.memory_bytes, digits.scaled_bytes),
        text(", ".join(notes(point))),
        text(redeploy(point.run_id)),
    )
