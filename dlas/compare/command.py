"""Measured points, or sweeps, side by side.

    python -m dlas.compare run=<id>,<id>    what differs in their choices, their numbers with intervals, the
                                            ratio of their latencies with its interval, and whether the
                                            measurement can tell them apart

Every point is compared with the first one. Of sweeps, each point is compared with that of the first sweep
that has the same choices. Times of an emulated board and of a real one, or of different targets, are in no
ratio.

    again=true            time the points again, now, on this machine: their libraries take turns of a few
                          runs, so that all meet the same pace. A sweep's id stands for its finished points of
                          one target. It goes on, session by session, until each point is told from the
                          first one, or the same, or the budget is spent. The result is logged under the
                          first point, or under the sweep
    timing=<name>         with again=true: time by this protocol, not by timing=default; timing.budget=60:
                          single settings; --config-dir <folder> where <folder>/timing/<name>.yaml is yours
    signers=<file>        with again=true: refuse bundles that none of these signed (dlas.bundle); without it
                          the file that DLAS_SIGNERS names, if any
    json=<file>           with again=true: write all that is told into a file, as JSON
    csv=<file>            write the table there, too, with every number in full
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store; tracking.experiment=<name> another experiment in it

With again=true every file of the bundles is checked against its sha256, each library against this machine,
its outputs against the reference. Until then nothing of a bundle is run. A library is its sender's code and
runs as you: SECURITY.md tells what that means.

Exit status: 0 done; 1 there is no such run, or it could not be timed again; 2 a mistake in the arguments;
130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import command_line, config
from dlas.command_line import Work
from dlas.files.folders import require_writable_file

if TYPE_CHECKING:
    from dlas.analysis.table import Table

DEFAULT = "default"
"""Protocol by which points are timed again: it has enough sessions to tell them apart."""


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: str
    """Ids of runs, separated by commas."""
    again: bool = False
    timing: str | None = None
    signers: str | None = None
    json: str | None = None
    csv: str | None = None
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        several = len(self.runs) > 1 or (self.again and bool(self.runs))
        config.require(several, "run", "two points or more are compared", "run=<id>,<id>")
        for name in ("timing", "signers", "json"):
            unused = getattr(self, name) is None or self.again
            config.require(unused, name, "nothing is timed unless it is asked for", "again=true beside it")

    @property
    def runs(self) -> list[str]:
        """The ids of runs, each once, in the given order."""
        return command_line.listed(self.run)

    def file(self, name: str) -> Path | None:
        """The file of that option; None where it was not asked for. UserError where it can't be written."""
        given = getattr(self, name)
        if given is None:
            return None
        path = Path(given).expanduser()
        require_writable_file(name, path)
        return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-compare` command; returns its exit status."""
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    command_line.require_given(given, run="id>,<id")
    typed, others = config.layer_arguments(given, "timing")
    options = config.options(Options, others)
    if not options.again:
        typed.require_none_of("timing")
        return lambda: _stored(options)
    protocol = config.declared_timing(options.timing or DEFAULT, typed)
    return lambda: _again(options, protocol)


def _stored(options: Options) -> None:
    """Print what the store has of the runs."""
    csv = options.file("csv")
    from dlas.compare import stored

    store = command_line.existing_store(options.artifacts, options.tracking)
    _tell(stored.table(store, options.runs), csv)


def _again(options: Options, protocol: config.Timing) -> None:
    """Time the runs again and print what that says."""
    csv, json = options.file("csv"), options.file("json")
    from dlas.hardware.sessions.session import torch_kept_out

    with torch_kept_out():
        from dlas.compare import again, as_json, as_run
        from dlas.tracking import delivery

        kept = delivery.kept(command_line.artifacts_folder(options.artifacts), options.tracking)
        found = again.timed(kept, options.runs, protocol, options.signers)
        logged = as_run.keep(kept, found)
    _tell(found.table, csv)
    if json is not None:
        as_json.write(found, logged, json)


def _tell(table: Table, csv: Path | None) -> None:
    from dlas.analysis.table import CSV, as_text

    if csv is not None:
        csv.write_text(CSV.text(table), encoding="utf-8", newline="")
    print(as_text(table))
