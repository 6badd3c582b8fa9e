"""The table that ends a sweep, of its runs."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from dlas.analysis import pace
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import as_text
from dlas.analysis.tables import closing
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import PARENT, Record


def table(points: Sequence[Record], earlier: Collection[str] = (), options: Sequence[str] = ()) -> str:
    """One line a point: its choices, accuracies, latency, MLflow run; what no other point beats is marked,
    and so are those whose runs are `earlier` ones. By `options` other commands find the runs."""
    return of(measured_points(points), earlier, options=options)


def of(
    points: Sequence[MeasuredPoint],
    earlier: Collection[str] = (),
    further: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """The table of runs that are measured points already, brought to one pace; `further` names columns of
    `dlas.analysis.tables.further`."""
    if not points:
        return "no point was started"
    points = pace.at_one_pace(points)
    lines = [as_text(closing.table(points, earlier, further), title=False)]
    skipped = sum(point.run_id in earlier for point in points)
    if skipped:
        told = f"earlier: {skipped} of {len(points)} points have this run and were not made again"
        lines.append(f"{told}; rerun=all makes them")
    waiting = sum(closing.UNSENT in point.tags for point in points)
    if waiting:
        told = f"{closing.NOT_SENT}: {waiting} of {len(points)} points are kept on this disk"
        lines.append(f"{told}; python -m dlas.sync sends them")
    sweeps = list(filter(None, (point.tags.get(PARENT) for point in points)))
    looks = [["dlas.report", f"sweep={sweeps[-1]}"]] if sweeps else []
    commands = [shlex.join(["python", "-m", *look, *options]) for look in [*looks, ["dlas.ui"]]]
    return "\n".join(["", *lines, f"Look closer: {', or '.join(commands)}"])
