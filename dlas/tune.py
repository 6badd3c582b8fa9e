"""Move tuning records between people and machines.

    python -m dlas.tune export file=<new zip file>   every record of the store
    python -m dlas.tune import file=<zip file>       adds those that this store lacks

    artifacts=<folder>    where the store is

Records are kept apart by the target that they were measured for: those of another board are there when a
point is tuned for such a board, and are not used for this one.

Exit status: 0 done; 1 it could not be done; 2 a mistake in the arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import command_line, config
from dlas.command_line import Work
from dlas.systems.tuners.common import tuning_store


@dataclass(frozen=True)
class Options:
    """Options of export and import."""

    file: str
    artifacts: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    commands = {"export": _export, "import": _import}
    return command_line.run(__doc__, arguments, command_line.subcommand(commands))


def _export(given: list[str]) -> Work:
    root, file = _places(given)
    return lambda: print(f"{tuning_store.export(root, file)} records of {root} are in {file}")


def _import(given: list[str]) -> Work:
    root, file = _places(given)
    return lambda: print(f"{tuning_store.merge(root, file)} records were new to {root}")


def _places(given: list[str]) -> tuple[Path, Path]:
    """The folder of tuning records, and the file that is exported or imported."""
    command_line.require_given(given, file="zip file")
    options = config.options(Options, given)
    return command_line.artifacts_folder(options.artifacts) / "tuning", Path(options.file).expanduser()


if __name__ == "__main__":
    sys.exit(main())
