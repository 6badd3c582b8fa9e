"""One measured point, or the table of a sweep, on the terminal.

    python -m dlas.show run=<run id>       choices, accuracy, latency with its interval, sizes, the slowest
                                           layers, warnings, and the command that redeploys it
    python -m dlas.show sweep=<run id>     the table that the sweep ended with, as it is now

    columns=memory,start  of sweep=: further columns. memory, of which memory.runtime (importing the runtime),
                          memory.network (loading the network) and memory.run (the first run) are parts;
                          start, of start.runtime, start.network and start.run; files, the deployed bytes
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
from dlas.analysis.tables.further import FURTHER
from dlas.command_line import Work
from dlas.errors import UserError

if TYPE_CHECKING:
    from dlas.tracking.store import Record, Store


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: str | None = None
    sweep: str | None = None
    columns: str | None = None
    """Names of further columns, separated by commas."""
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        one = (self.run is None) != (self.sweep is None)
        remedy = "run=<run id> or sweep=<run id>; --help tells the rest"
        config.require(one, "run", "exactly one of run and sweep is to be given", remedy)
        of_table = self.columns is None or self.sweep is not None
        config.require(of_table, "columns", "a single point has no table", "sweep=<run id>")
        unknown = next((name for name in self.further if name not in FURTHER), None)
        known = f"of these: {', '.join(FURTHER)}"
        config.require(unknown is None, "columns", f"'{unknown}' is not known", known)

    @property
    def further(self) -> list[str]:
        """The names of further columns."""
        return command_line.listed(self.columns)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-show` command; returns its exit status."""
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    options = config.options(Options, given)
    return lambda: show(options)


def show(options: Options) -> None:
    """Print what was asked for; UserError where there is no such run."""
    from dlas import tracking

    store = command_line.existing_store(options.artifacts, options.tracking)
    if options.sweep is not None:
        _show_sweep(store, options)
        return
    assert options.run is not None
    record = tracking.fetch_made(store, options.run)
    if record.tags.get(tracking.KIND) == tracking.SWEEP:
        raise UserError(f"'{options.run}' is a sweep", key="run", remedy=f"sweep={options.run}")
    _show_point(
        store, record, command_line.redeploy_command(options.run, options.artifacts, options.tracking)
    )


def _show_sweep(store: Store, options: Options) -> None:
    from dlas import tracking
    from dlas.report import reading
    from dlas.tracking.delivery import Place
    from dlas.tracking.outcome import summary

    assert options.sweep is not None
    runs = tracking.sweep_points(store, options.sweep)
    where = options.tracking
    place = Place(command_line.artifacts_folder(options.artifacts), where.uri, where.experiment)
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        found = reading.with_sessions(store, runs, Path(folder))
        print(summary.of(found, further=options.further, options=place.options))


def _show_point(store: Store, record: Record, redeploy: str) -> None:
    from dlas.analysis.tables import point
    from dlas.report import reading

    with tempfile.TemporaryDirectory(prefix="dlas-") as temporary:
        folder = Path(temporary)
        (observation,) = reading.with_sessions(store, [record], folder)
        timing, layers = None, []
        if record.status == "FINISHED":
            try:
                timing = reading.timing(store, record, folder)
                layers = reading.layers(store, record, folder)
            except UserError as error:
                print(f"of its bundle: {error}", file=sys.stderr)
    print(point.described(observation, timing, layers, redeploy))


if __name__ == "__main__":
    sys.exit(main())
