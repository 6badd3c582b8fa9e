"""Points side by side: what differs in choices, numbers with intervals, ratios where there may be any."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis import digits, front, intervals, naming, pace
from dlas.analysis.intervals import Ratio
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.naming import Naming
from dlas.analysis.phrases import counted
from dlas.analysis.table import NOTHING, Cell, Table, measured, number, text
from dlas.analysis.tables.closing import few_sessions, latency, notes
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.statistics import CONFIDENCE

FASTER, SLOWER, UNCLEAR, REFERENCE = "faster", "slower", "can't tell", "reference"

RATIO = (
    "ratio: latency over that of the point it is compared with; below 1 is faster, and can't tell where the "
    "interval holds 1"
)

BESIDE_WORK = "all met it, but it may slow one down more than another; time them again when it is over"
IN_TURN = "ratio: time over that of the first point, a few runs of each in turn; below 1 is faster"


def points(found: Sequence[MeasuredPoint]) -> Table:
    """Each point against the first one."""
    named = naming.of(found)
    first, *others = found
    rows = [_row(first, named, Cell(NOTHING), Cell(NOTHING), Cell(REFERENCE))]
    rows += [_row(other, named, *_ratio(other, first)) for other in others]
    reasons = [
        f"{named.label(other)} has no ratio: {reason}"
        for other in others
        if (reason := intervals.without_ratio(other, first))
    ]
    headings = (*named.columns, *_HEADINGS)
    closing = (RATIO, *pace.notes(found), *few_sessions(found), *reasons)
    return Table("comparison", "Points side by side", headings, tuple(rows), closing)


def again(
    found: Sequence[MeasuredPoint], comparisons: Sequence[Comparison], unsteady: Sequence[str]
) -> Table:
    """Points that were timed anew, all in turn: each but the first with its comparison with that one.
    `unsteady` are the reasons to doubt the times."""
    named = naming.of(found)
    first, *others = found
    rows = [_row(first, named, Cell(NOTHING), Cell(NOTHING), Cell(REFERENCE))]
    rows += [
        _row(other, named, *measured(one.ratio, one.interval), Cell(one.outcome.value))
        for other, one in zip(others, comparisons, strict=True)
    ]
    reasons = [
        f"{named.label(other)}: {one.verdict}"
        for other, one in zip(others, comparisons, strict=True)
        if one.outcome is Outcome.UNCLEAR
    ]
    doubts = [f"unsteady: {'; '.join(unsteady)}: {BESIDE_WORK}"] if unsteady else []
    closing = (IN_TURN, *_sessions(comparisons[0].new, len(others)), *few_sessions(found), *reasons, *doubts)
    return Table("comparison", "Points in turn", (*named.columns, *_HEADINGS), tuple(rows), closing)


def _sessions(found: Measurement, ratios: int) -> list[str]:
    """How the points were timed, and what is said of so many ratios."""
    within = f"{found.same_within_percent:g}"
    sessions = counted(len(found.sessions), "session")
    lines = [
        f"timed: {sessions} of each, of {found.runs} runs in {found.turns} turns",
        f"same: the whole interval within {within} % of 1",
    ]
    of_all = f"interval of a ratio: all {ratios} hold at once, with a probability of {CONFIDENCE:.0%}"
    return [*lines, of_all.replace("%", " %")] if ratios > 1 and found.has_enough_sessions else lines


def sweeps(found: Sequence[Sequence[MeasuredPoint]]) -> Table:
    """The points of the first sweep, each followed by those of the others with the same choices."""
    everything = [point for sweep in found for point in sweep]
    named = naming.of(everything)
    first, *others = found
    rows, reasons, alone = [], [], 0
    for point in first:
        matching = [
            (of, other)
            for of, sweep in enumerate(others, 2)
            for other in sweep
            if other.choices == point.choices
        ]
        alone += not matching
        if matching:
            blank = (Cell(NOTHING), Cell(NOTHING), Cell(REFERENCE))
            rows.append((number(1, str), *_row(point, named, *blank)))
        for of, other in matching:
            rows.append((number(of, str), *_row(other, named, *_ratio(other, point))))
            if reason := intervals.without_ratio(other, point):
                reasons.append(f"{named.label(other)} has no ratio: {reason}")
    if alone:
        reasons.append(f"left out: {alone} of {len(first)} points of the first, whose choices no other has")
    closing = (RATIO, *pace.notes(everything), *few_sessions(everything), *reasons)
    return Table(
        "comparison", "Sweeps side by side", ("of", *named.columns, *_HEADINGS), tuple(rows), closing
    )


_HEADINGS = (
    "accuracy",
    "median ms",
    "interval",
    "weights",
    "ratio",
    "its interval",
    "verdict",
    "notes",
    "run",
)


def _row(point: MeasuredPoint, named: Naming, ratio: Cell, interval: Cell, verdict: Cell) -> tuple[Cell, ...]:
    return (
        *map(text, named.told(point)),
        number(front.accuracy(point), "{:.4f}".format),
        *latency(point),
        number(point.format_bytes, digits.scaled_bytes),
        ratio,
        interval,
        verdict,
        text(", ".join([*notes(point), *([] if point.status == "FINISHED" else [point.status])])),
        text(point.run_id),
    )


def _ratio(point: MeasuredPoint, reference: MeasuredPoint) -> tuple[Cell, Cell, Cell]:
    """The ratio, its interval and the verdict."""
    ratio = intervals.latency_ratio(point, reference)
    if ratio is None:
        return Cell(NOTHING), Cell(NOTHING), Cell("not compared")
    return *measured(ratio.value, ratio.interval), Cell(_verdict(ratio))


def _verdict(ratio: Ratio) -> str:
    if not ratio.resolved:
        return UNCLEAR
    return FASTER if ratio.value < 1 else SLOWER
