"""What a command tells at its end: the table of its points, and its exit status."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from dlas.tracking import store as tracking
from dlas.tracking.delivery import Place

MISTAKE, FAILURE, NOT_SENT = 2, 1, 3


def not_of(records: Sequence[tracking.Record], sweep: str) -> list[str]:
    """The ids of those that are of another sweep, or none."""
    return [record.run_id for record in records if record.tags.get(tracking.PARENT) != sweep]


def print_table(points: Sequence[tracking.Record], earlier: Collection[str], place: Place) -> None:
    """Print the table of the points at the place; those of `earlier` runs are marked in it."""
    from dlas.tracking.outcome import summary  # SciPy is behind it: a refused config does not wait for it

    print(summary.table(points, earlier, place.options))


def conclude(records: Sequence[tracking.Record], place: Place, earlier: Collection[str] = ()) -> None:
    """Print the table, and leave with an exit status that says whether every point was finished."""
    print_table(records, earlier, place)
    if any(record.status != "FINISHED" for record in records):
        sys.exit(FAILURE)
    if any(tracking.UNSENT in record.tags for record in records):
        sys.exit(NOT_SENT)
