"""What compressed networks gain against their dense ones, and what was to be expected.

Against the dense network by the same algorithm, and against the fastest dense one (Gibson et al.,
arXiv:2311.08909): the first tells of the kernels, the second whether compressing was worth it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlas.analysis import intervals, naming, pace
from dlas.analysis.intervals import Ratio
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import Cell, Table, measured, number, text
from dlas.analysis.tables.study import grouped


@dataclass(frozen=True)
class Speedup:
    """A compressed point against dense ones; a ratio is the dense latency over its own."""

    point: MeasuredPoint
    same: Ratio | None
    """Against the dense network with all other choices the same; None where there is none."""
    best: Ratio | None
    """Against the fastest dense network of the same data set, model and target."""


def speedups(points: Sequence[MeasuredPoint]) -> list[Speedup]:
    """The speedup of each compressed point that has a latency."""
    timed = [point for point in points if point.timed]
    named = naming.of(timed)
    others = [factor for factor in named.factors if factor not in ("compression", "format")]

    def kin(point: MeasuredPoint) -> tuple[object, ...]:
        return (*(named.level(point, factor) for factor in others), intervals.place(point))

    def network(point: MeasuredPoint) -> tuple[object, ...]:
        return point.choices.get("dataset"), point.choices.get("model"), intervals.place(point)

    dense = [point for point in timed if not point.steps]
    of_kin, of_network = grouped(dense, kin), grouped(dense, network)
    found = []
    for point in timed:
        if point.steps:
            same, best = _fastest(of_kin.get(kin(point), [])), _fastest(of_network.get(network(point), []))
            found.append(Speedup(point, _gain(same, point), _gain(best, point)))
    return found


def table(points: Sequence[MeasuredPoint], those: Sequence[Speedup]) -> Table:
    """The speedups of these points, measured and expected."""
    named = naming.of(points)
    rows = []
    for found in those:
        expected = found.point.expected_speedup
        share = None if found.same is None or not expected else found.same.value / expected
        rows.append(
            (
                *map(text, named.told(found.point)),
                number(expected, "{:.2f}x".format),
                *_cells(found.same),
                number(share, lambda part: f"{100 * part:.0f} %"),
                *_cells(found.best),
            )
        )
    headings = (*named.columns, "expected", "against same", "interval", "reached", "against best", "interval")
    notes = (
        "against same: the latency of the dense network with all else the same, over this one's; "
        "against best: that of the fastest dense network of this model and target.",
        "reached: the share of the expected speedup that was measured against the same.",
        *pace.notes(points),
    )
    title = "Speedup of compressed networks, and what was to be expected"
    return Table("speedup", title, headings, tuple(rows), notes if rows else ())


def _fastest(points: Sequence[MeasuredPoint]) -> MeasuredPoint | None:
    return min(points, key=lambda point: point.latency_ms or 0.0, default=None)


def _gain(dense: MeasuredPoint | None, point: MeasuredPoint) -> Ratio | None:
    return None if dense is None else intervals.latency_ratio(dense, point)


def _cells(ratio: Ratio | None) -> tuple[Cell, Cell]:
    return measured(None, None) if ratio is None else measured(ratio.value, ratio.interval, "x")
