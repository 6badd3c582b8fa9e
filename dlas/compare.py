"""Measured points, or sweeps, side by side.

    python -m dlas.compare run=<id>,<id>    what differs in their choices, their numbers with intervals, the
                                            ratio of their latencies with its interval, and whether the
                                            measurement can tell them apart

Every point is compared with the first one. Of sweeps, each point is compared with that of the first sweep
that has the same choices. Times of an emulated board and of a real one, or of different targets, are in no
ratio.

    csv=<file>            write the table there, too, with every number in full
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store; tracking.experiment=<name> another experiment in it

Exit status: 0 done; 1 there is no such run; 2 a mistake in the arguments.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import command_line, config
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.files.folders import require_writable_file

if TYPE_CHECKING:
    from dlas.analysis.measured_point import MeasuredPoint
    from dlas.tracking.store import Record, Store


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: str
    """Ids of runs, separated by commas."""
    csv: str | None = None
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        several = len(self.runs) > 1
        config.require(several, "run", "two points or more are compared", "run=<id>,<id>")

    @property
    def runs(self) -> list[str]:
        """The ids of runs, each once, in the given order."""
        return command_line.listed(self.run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-compare` command; returns its exit status."""
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    command_line.require_given(given, run="id>,<id")
    options = config.options(Options, given)
    return lambda: compare(options)


def compare(options: Options) -> None:
    """Print the table; UserError where there is no such run."""
    from dlas import tracking
    from dlas.analysis.table import as_csv, as_text
    from dlas.analysis.tables import comparing

    csv = None if options.csv is None else Path(options.csv).expanduser()
    if csv is not None:
        require_writable_file("csv", csv)
    store = command_line.existing_store(options.artifacts, options.tracking)
    runs = [tracking.fetch_made(store, run) for run in options.runs]
    are_sweeps = [run.tags.get(tracking.KIND) == tracking.SWEEP for run in runs]
    if all(are_sweeps):
        table = comparing.sweeps(_observed(store, [_points(store, run) for run in runs]))
    elif any(are_sweeps):
        remedy = "points only, or sweeps only"
        raise UserError("a point can't be compared with a sweep", key="run", remedy=remedy)
    else:
        table = comparing.points([point for (point,) in _observed(store, [[run] for run in runs])])
    if csv is not None:
        csv.write_text(as_csv(table), encoding="utf-8", newline="")
    print(as_text(table))


def _points(store: Store, sweep: Record) -> list[Record]:
    from dlas import tracking

    found = tracking.points(store, sweep.run_id)
    if not found:
        remedy = "sweeps with points"
        raise UserError(f"the sweep '{sweep.run_id}' has no points", key="run", remedy=remedy)
    return found


def _observed(store: Store, groups: Sequence[Sequence[Record]]) -> list[list[MeasuredPoint]]:
    """The points of each group, all at one pace, with the settings as choices that differ between any two."""
    from dlas.analysis import pace
    from dlas.report import reading

    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        records = [record for group in groups for record in group]
        points = iter(pace.at_one_pace(reading.with_sessions(store, records, Path(folder))))
        return [[next(points) for _ in group] for group in groups]


if __name__ == "__main__":
    sys.exit(main())
