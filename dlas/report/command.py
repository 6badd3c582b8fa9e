"""What a sweep says: one page with its tables and figures, also as files.

    python -m dlas.report sweep=<run id>

The page is self-contained: it needs no network, and can be read on a phone and on paper. Its tables are
beside it as CSV, Markdown and LaTeX. All of it is an artifact of the sweep's run, too; what the report says
in short is printed.

    out=<folder>          where to write it; without it report-<run id> in the working directory
    figures=true          the figures as files, too, in SVG and PNG
    log=false             put nothing on the sweep's run; nor is it where the store can only be read
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store; tracking.experiment=<name> another experiment in it

Exit status: 0 done; 1 there is no such sweep; 2 a mistake in the arguments.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dlas import command_line, config
from dlas.command_line import Work
from dlas.files.folders import require_writable_folder

SHORT_ID = 8
"""Characters of a run's id in the name of a folder."""


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    sweep: str
    out: str | None = None
    figures: bool = False
    log: bool = True
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-report` command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    command_line.require_given(given, sweep="run id")
    options = config.options(Options, given)
    return lambda: report(options)


def report(options: Options) -> None:
    """Write the report, log it, and print it in short; UserError where there is no such sweep."""
    from dlas import tracking
    from dlas.printable import printable_lines
    from dlas.report import gathering, writing
    from dlas.report.sections import sections, title

    store = command_line.existing_store(options.artifacts, options.tracking)
    sweep = tracking.fetch(store, options.sweep)
    folder = Path(options.out or f"report-{options.sweep[:SHORT_ID]}").expanduser()
    points = tracking.sweep_points(store, options.sweep)
    require_writable_folder("out", folder)
    gathered = gathering.gather(store, points)
    del points  # every setting of every run
    redeploy = partial(command_line.redeploy_command, artifacts=options.artifacts, tracking=options.tracking)
    found = sections(gathered, redeploy)
    head = [
        f"run {sweep.run_id}, {sweep.status}",
        f"python -m dlas.run -m {sweep.tags.get('dlas.overrides', '')}",
    ]
    writing.write(folder, title(gathered.points), head, found)
    if options.figures:
        writing.write_figures(folder, found)
    is_readable_alone = not tracking.is_writable(store)
    if options.log and not is_readable_alone:
        tracking.log_report(store, options.sweep, folder, (folder / writing.SHORT).read_text("utf-8"))
    told = [sentence for section in found[:1] for sentence in section.sentences]
    print(printable_lines("\n".join(told)))
    print(f"\nwritten    {(folder / writing.PAGE).absolute()}")
    if options.log and is_readable_alone:
        print(f"not logged {tracking.shown(store.uri)} can only be read")
