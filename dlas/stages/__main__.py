"""What the store of stage results holds, why, and what of it can go.

    python -m dlas.stages list                              every result with its size, its age and its runs
    python -m dlas.stages why <run id or stage/key>         which input differs from the nearest other result
    python -m dlas.stages gc [keep=30d] [size=20GB] [dry=true]
                                                            remove what was used longer ago, or is beyond the
                                                            size, but nothing that an unfinished sweep needs;
                                                            with dry=true only tell

A sweep is unfinished while it goes on, and as long after it was stopped or failed as `keep` says.

    artifacts=<folder>    where the store is
    tracking.uri=<uri>    where the runs are

Bundles are whole by themselves: every finished run redeploys without the store.

Exit status: 0 done; 2 a mistake in the arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlas import config
from dlas.errors import UserError

MISTAKE = 2
COMMANDS = ("list", "why", "gc")


@dataclass(frozen=True)
class Options:
    """What can be asked for."""

    keep: str = "30d"
    size: str = "20GB"
    dry: bool = False
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-stages` command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return 0
    try:
        command, names = given[0] if given else "nothing", [each for each in given[1:] if "=" not in each]
        config.require(command in COMMANDS, "command", f"{command} is none", "list, why or gc; --help tells")
        wanted = 1 if command == "why" else 0
        remedy = "why <run id or stage/key>; list and gc take none"
        config.require(len(names) == wanted, command, f"{len(names)} names are given", remedy)
        options = config.options(Options, [each for each in given[1:] if "=" in each])
        print(_done(command, names, options))
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    return 0


def _done(command: str, names: Sequence[str], options: Options) -> str:
    """Do it; what to tell of it."""
    from dlas.stages.command import commands, recorded_uses, units
    from dlas.stages.command.clearing import Limits

    artifacts = Path(options.artifacts or config.default_artifacts()).expanduser().absolute()
    root, where = artifacts / "stages", options.tracking
    if command == "list":
        return commands.listed(root, recorded_uses.uses(artifacts, where) or {})
    if command == "why":
        (name,) = names
        return commands.explained(
            root, [name] if "/" in name else recorded_uses.of_run(artifacts, where, name)
        )
    limits = Limits(units.seconds(options.keep, "keep"), units.size(options.size, "size"))
    return commands.cleared(root, limits, recorded_uses.required(artifacts, where), dry=options.dry)


if __name__ == "__main__":
    sys.exit(main())
