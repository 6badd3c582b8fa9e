"""The table that ends a sweep, of its runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dlas.analysis.tables import closing
from dlas.analysis.tables.table import as_text
from dlas.tracking.observations import observed
from dlas.tracking.store import Record


def table(points: Sequence[Record], earlier: Collection[str] = ()) -> str:
    """One line a point: its choices, accuracies, latency, MLflow run; what no other point beats is marked,
    and so are those whose runs are `earlier` ones."""
    if not points:
        return "no point was started"
    lines = [as_text(closing.table(observed(points), earlier), title=False)]
    skipped = sum(point.run_id in earlier for point in points)
    if skipped:
        told = f"earlier: {skipped} of {len(points)} points have this run and were not made again"
        lines.append(f"{told}; rerun=all makes them")
    return "\n".join(["", *lines, "Look closer: make ui  (or: python -m dlas.ui)"])
