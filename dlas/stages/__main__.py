"""List the store of stage results, explain its entries, and clear it.

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

Exit status: 0 done; 1 it could not be done; 2 a mistake in the arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlas import command_line, config
from dlas.command_line import Work


@dataclass(frozen=True)
class Options:
    """Options of the command, and the store and runs that they name."""

    keep: str = "30d"
    size: str = "20GB"
    dry: bool = False
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-stages` command; returns its exit status."""
    commands = {"list": _list, "why": _why, "gc": _gc}
    return command_line.run(__doc__, arguments, command_line.subcommand(commands))


def _list(given: list[str]) -> Work:
    options = config.options(Options, given)

    def work() -> None:
        from dlas.stages.command import commands, recorded_uses

        artifacts = command_line.artifacts_folder(options.artifacts)
        print(commands.listed(_root(artifacts), recorded_uses.uses(artifacts, options.tracking) or {}))

    return work


def _why(given: list[str]) -> Work:
    names = [each for each in given if "=" not in each]
    config.require(len(names) == 1, "why", f"{len(names)} names are given", "why <run id or stage/key>")
    options = config.options(Options, [each for each in given if "=" in each])

    def work() -> None:
        from dlas.stages.command import commands, recorded_uses

        artifacts, (name,) = command_line.artifacts_folder(options.artifacts), names
        results = [name] if "/" in name else recorded_uses.of_run(artifacts, options.tracking, name)
        print(commands.explained(_root(artifacts), results))

    return work


def _gc(given: list[str]) -> Work:
    from dlas.stages.command import units
    from dlas.stages.command.clearing import Limits

    options = config.options(Options, given)
    limits = Limits(units.seconds(options.keep, "keep"), units.size(options.size, "size"))

    def work() -> None:
        from dlas.stages.command import commands, recorded_uses

        artifacts = command_line.artifacts_folder(options.artifacts)
        required = recorded_uses.required(artifacts, options.tracking)
        print(commands.cleared(_root(artifacts), limits, required, dry=options.dry))

    return work


def _root(artifacts: Path) -> Path:
    return artifacts / "stages"


if __name__ == "__main__":
    sys.exit(main())
