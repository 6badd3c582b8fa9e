"""Send what was measured and is not in its store yet, and copy runs from store to store.

    python -m dlas.sync                          sends every run that waits in artifacts/unsent to its store
    python -m dlas.sync from=<store> to=<store>  copies all runs with their bundles

    run=<id>,<id>         of these alone: a sweep's id stands for it with all of its points. Redeploys go with
                          their points
    artifacts=<folder>    where the runs are that wait
    tracking.uri=<uri>    the store that they are sent to, where its address has a password, which is not kept

A store is a folder such as artifacts, the address of a database (sqlite:////folder/mlflow.db) or that of an
MLflow server (http://machine:5000). Parameters, tags, files, times, and metrics with their steps are copied,
and which runs belong to which. Every file is compared after the copy. A second copy adds only what is new: a
run's tag dlas.origin tells the id that it has where it was made.

Exit status: 0 all is sent or copied; 1 something is not; 2 a mistake in the arguments; 130 stopped by
Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import bundle, command_line, config
from dlas.command_line import DONE, FAILED, Work
from dlas.printable import printable

if TYPE_CHECKING:
    from dlas.tracking import Store


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    from_: str | None = None
    to: str | None = None
    run: str | None = None
    """Ids of runs, separated by commas."""
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        for name, given, other in (("from", self.from_, self.to), ("to", self.to, self.from_)):
            config.require(given is not None or other is None, name, "is not given", f"{name}=<store>")
        copies = self.from_ is not None
        config.require(copies or self.run is None, "run", "is for copies alone", "from= and to= beside it")
        both = copies and (self.artifacts is not None or self.tracking.uri is not None)
        config.require(not both, "from", "names the store, as artifacts= and tracking.uri= do", "from= alone")

    @property
    def runs(self) -> list[str]:
        """The ids of runs, each once."""
        return command_line.listed(self.run)


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-sync` command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("dlas.run").setLevel(logging.INFO)
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    options = config.options(Options, given)
    if options.from_ is not None and options.to is not None:
        source, target = options.from_, options.to
        return lambda: copy(source, target, options.runs)
    return lambda: send(command_line.artifacts_folder(options.artifacts), options.tracking.uri)


def send(artifacts: Path, uri: str | None) -> int:
    """Send all that waits, each run to its own store; returns the exit status."""
    from dlas.tracking import delivery

    if not delivery.folders(artifacts):
        print(f"nothing waits in {artifacts / 'unsent'}")
        return DONE
    delivery.send_everywhere(artifacts, uri)
    left = delivery.folders(artifacts)
    for folder in left:
        print(printable(f"waits      {folder}"))
    return FAILED if left else DONE


def copy(source: str, target: str, wanted: Sequence[str]) -> int:
    """Copy runs from one store to another; returns the exit status."""
    from dlas.tracking import delivery

    failed = 0
    done: dict[str, int] = {}
    for one in delivery.copy(_opened(source), _opener(target), wanted, bundle.verify):
        failed += one.failed
        done[one.told] = done.get(one.told, 0) + 1
        where = f" as {one.there}" if one.there else ""
        stream = sys.stderr if one.failed else sys.stdout
        print(printable(f"{one.run.run_id}{where}  {one.run.name}: {one.told}"), file=stream)
    print("\n".join(f"{count} runs {told}" for told, count in done.items()) or "there are no runs")
    return FAILED if failed else DONE


def _opened(store: str) -> Store:
    """The store that is there already."""
    from dlas import tracking

    artifacts, uri = _place(store)
    config.require(tracking.is_there(uri), "from", f"there is no store at {store}", "a folder with mlflow.db")
    return tracking.open_store(artifacts, uri)


def _opener(store: str) -> Callable[[str], Store]:
    from dlas import tracking

    artifacts, uri = _place(store)
    return lambda experiment: tracking.open_store(artifacts, uri, experiment)


def _place(store: str) -> tuple[Path, str]:
    """The artifacts folder and the address of a store, given by either."""
    from dlas import tracking

    if "://" in store:
        return Path(), store
    folder = Path(store).expanduser().absolute()
    return folder, tracking.embedded_uri(folder)


if __name__ == "__main__":
    sys.exit(main())
