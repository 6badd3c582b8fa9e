"""The table that ends a sweep: a line for each point, what is not beaten, what not to trust."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dlas.analysis import digits, front, intervals, naming, pace
from dlas.analysis.front import Standing
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.analysis.naming import Naming
from dlas.analysis.table import Cell, Table, measured, number, text
from dlas.analysis.tables.further import FURTHER
from dlas.hardware.results.comparison import SAME_WITHIN
from dlas.hardware.results.measurement import ENOUGH_SESSIONS
from dlas.printable import printable

LISTED = 5
"""Points whose reason is told below the table; of more, their number."""

NOTED = {
    "dlas.fallbacks": "fallback",
    "dlas.float_layers": "float layers",
    "dlas.lost_signal": "lost signal",
    "dlas.tuning_stopped": "tuning stopped",
    "dlas.unsteady_choices": "unsteady choices",
}
"""Tags of a run that a reader of its row has to know, and their words in the table."""

UNSTEADY, EMULATED, NOTHING_KEPT = "unsteady", "emulated", "no tuned kernel kept"

CHOICES, UNSENT = "dlas.unsteady_choices", "dlas.unsent"
"""Tags of a point: why what was chosen by timing is not to be trusted, and the folder in which it waits to be
sent to the store."""

NOT_SENT = "not sent yet"


def table(
    points: Sequence[MeasuredPoint], earlier: Collection[str] = (), further: Sequence[str] = ()
) -> Table:
    """A row for each point. `earlier` are the ids of runs that the sweep took and did not make; `further` are
    names of `FURTHER`."""
    aims = front.aims(points)
    standings = front.standings(points, aims)
    named = naming.of(points)
    sized = front.SIZE in aims
    headings = ["", *named.columns, "top1 dense", "compressed", "deployed", "median ms", "interval"]
    headings += [
        *(["weights"] if sized else []),
        *(FURTHER[name][0] for name in further),
        "expected",
        "notes",
        "status",
        "run",
    ]
    rows = []
    for point, standing in zip(points, standings, strict=True):
        choices = map(text, named.told(point))
        size = [number(point.format_bytes, digits.scaled_bytes)] if sized else []
        marked = Cell("" if standing is None else standing.value)
        more = [FURTHER[name][1](point) for name in further]
        last = [text(", ".join(notes(point))), text(_status(point, earlier)), text(point.run_id)]
        rows.append(
            (marked, *choices, *_accuracies(point), *latency(point), *size, *more, expected(point), *last)
        )
    closing = (*_legend(points, aims, standings), *_reasons(points, named), *_failures(points, named))
    return Table("points", "Points", tuple(headings), tuple(rows), closing)


def latency(point: MeasuredPoint) -> tuple[Cell, Cell]:
    """The latency in milliseconds and its interval, in the digits that this supports."""
    return measured(point.latency_ms, intervals.latency_interval(point))


def expected(point: MeasuredPoint) -> Cell:
    """The expected speedup."""
    return number(point.expected_speedup, "{:.2f}x".format)


def notes(point: MeasuredPoint) -> list[str]:
    """Short words of warning: unsteady, emulated, layers that fell back, tuning that changed nothing."""
    found = [word for tag, word in NOTED.items() if tag in point.tags]
    if point.unsteady:
        found.insert(0, UNSTEADY)
    if point.emulated:
        found.insert(0, EMULATED)
    if keeps_nothing(point):
        found.append(NOTHING_KEPT)
    return found


def keeps_nothing(point: MeasuredPoint) -> bool:
    """Whether a tuner searched, and none of the kernels that it found is in the library."""
    return point.status == FINISHED and bool(point.tuning_trials) and point.layers_tuned == 0


def _status(point: MeasuredPoint, earlier: Collection[str]) -> str:
    if UNSENT in point.tags:
        return f"{point.status}, {NOT_SENT}"
    return f"{point.status} earlier" if point.run_id in earlier else point.status


def _accuracies(point: MeasuredPoint) -> list[Cell]:
    known = (point.accuracy_dense, point.accuracy_compressed, point.accuracy_deployed)
    return [number(value, "{:.4f}".format) for value in known]


def few_sessions(points: Sequence[MeasuredPoint]) -> list[str]:
    """What the intervals are where points have few sessions; nothing where none has."""
    if not any(point.timed and not intervals.has_sessions(point) for point in points):
        return []
    wider = f"{SAME_WITHIN - 1:.0%}".replace("%", " %")
    return [
        f"interval: of samples and {wider} wider where there are fewer than {ENOUGH_SESSIONS} sessions: "
        "sessions differ by that; timing=default has enough"
    ]


def _legend(
    points: Sequence[MeasuredPoint], aims: Sequence[front.Aim], standings: Sequence[Standing | None]
) -> list[str]:
    """What the marks and the interval mean, as far as the table has any."""
    lines = []
    names = " and ".join((", ".join(aim.name for aim in aims[:-1]), aims[-1].name)).removeprefix(" and ")
    within = ", among points of one data set and target" if len(set(map(front.contest, points))) > 1 else ""
    if Standing.UNBEATEN in standings:
        lines.append(
            f"{Standing.UNBEATEN.value} not beaten in {names}{within}; what the measurement can't tell apart "
            "shares the mark"
        )
    if Standing.UNSURE in standings:
        lines.append(
            f"{Standing.UNSURE.value} beaten, but its own time is unsteady and may be too long: time it again"
        )
    lines += pace.notes(points)
    lines += few_sessions(points)
    if any(point.emulated for point in points):
        lines.append(f"{EMULATED}: such times say nothing about a real board")
    unsteady = sum(bool(point.unsteady) or CHOICES in point.tags for point in points)
    if unsteady:
        told = f"{UNSTEADY}: the board did not hold still for {unsteady} of {len(points)} points"
        lines.append(f"{told}; rerun=unsteady makes them again")
    if any(keeps_nothing(point) for point in points):
        lines.append(f"{NOTHING_KEPT}: the library is that of the untuned kernels, which were as fast")
    return lines


def _reasons(points: Sequence[MeasuredPoint], named: Naming) -> list[str]:
    """Why points are unsteady, some of them."""
    lines = [f"{UNSTEADY}: {named.label(point)}: {point.unsteady}" for point in points if point.unsteady]
    left = len(lines) - LISTED
    return [*map(printable, lines[:LISTED]), *([f"{UNSTEADY}: and {left} more"] if left > 0 else [])]


def _failures(points: Sequence[MeasuredPoint], named: Naming) -> list[str]:
    """Why points failed, every one of them, each on a line with what would be right."""
    return [
        printable(f"{named.label(point)}: {'; '.join(map(str.strip, point.error.splitlines()))}")
        for point in points
        if point.error
    ]
