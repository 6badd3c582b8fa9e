"""Move tuning records between people and machines.

    python -m dlas.tune export file=<new zip file>   every record of the store
    python -m dlas.tune import file=<zip file>       adds those that this store lacks

    artifacts=<folder>    where the store is

Records are kept apart by the target that they were measured for: those of another board are there when a
point is tuned for such a board, and are not used for this one.

Exit status: 0 done; 2 a mistake in the arguments, or a file that is no exported store.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import config
from dlas.errors import UserError
from dlas.systems.tuners.common import tuning_store

MISTAKE = 2
COMMANDS = ("export", "import")


@dataclass(frozen=True)
class Options:
    """What can be asked for."""

    file: str
    artifacts: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return 0
    try:
        command = given[0] if given else "nothing"
        config.require(command in COMMANDS, "command", f"{command} is none", "export or import; --help tells")
        named = any(one.startswith("file=") for one in given)
        config.require(named, "file", "is not given", "file=<zip file>")
        print(_done(command, config.options(Options, given[1:])))
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    return 0


def _done(command: str, options: Options) -> str:
    """Do it; what to tell of it."""
    artifacts = Path(options.artifacts or config.default_artifacts()).expanduser().absolute()
    root, file = artifacts / "tuning", Path(options.file).expanduser()
    if command == "export":
        return f"{tuning_store.export(root, file)} records of {root} are in {file}"
    return f"{tuning_store.merge(root, file)} records were new to {root}"


if __name__ == "__main__":
    sys.exit(main())
