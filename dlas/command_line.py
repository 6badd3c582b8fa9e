"""Parts that the small commands share: their arguments, their help, their messages, their exit status.

`dlas.run` is Hydra's command and has a way of its own.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config, quota, user
from dlas.errors import UserError, require
from dlas.output import forgiving_output
from dlas.processes import stopping

if TYPE_CHECKING:
    from dlas.tracking import Store

DONE, FAILED, MISTAKE = 0, 1, 2
"""Exit statuses: the work is done; it could not be done; there is a mistake in the arguments. That of a
command that was stopped is told by `dlas.processes.stopping`."""

HELP = frozenset({"-h", "--help"})

Work = Callable[[], int | None]
"""The work of a command, once its arguments are read; returns its exit status, None for `DONE`."""

Subcommands = Mapping[str, Callable[[list[str]], Work]]
"""Functions that read the arguments of each subcommand, by its name. A UserError there is a mistake
in the arguments."""


def run(doc: str | None, arguments: Sequence[str] | None, parse: Callable[[list[str]], Work]) -> int:
    """Do what the arguments say; returns the exit status.

    `doc` is the help. `arguments` are those of the process where they are None. A UserError of `parse` is a
    mistake in the arguments; of the work that it returns, or another `failure` there, one of the command.
    """
    quota.follow()
    user.stand_in()
    with stopping.on_signals(), forgiving_output():
        try:
            return _run(doc, list(sys.argv[1:] if arguments is None else arguments), parse)
        except KeyboardInterrupt as stop:
            print("stopped", file=sys.stderr)
            return stopping.status(stop)


def _run(doc: str | None, given: list[str], parse: Callable[[list[str]], Work]) -> int:
    if HELP & set(given):
        print(doc)
        return DONE
    try:
        work = parse(given)
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    try:
        return work() or DONE
    except Exception as error:
        told = failure(error)
        if told is None:
            raise
        print(told, file=sys.stderr)
        return FAILED


def failure(error: Exception) -> Exception | None:
    """What a person is told of the exception that ended a command's work, or a part of it: a UserError, an
    OSError, or what the store of runs had; None for any other, which is no person's mistake."""
    if isinstance(error, UserError | OSError):
        return error
    tracking = sys.modules.get("dlas.tracking")
    return None if tracking is None else tracking.failure(error)


def subcommand(commands: Subcommands) -> Callable[[list[str]], Work]:
    """A function that reads the first argument as the name of one of the commands, and
    hands it the others."""

    def parse(given: list[str]) -> Work:
        known = f"one of: {', '.join(commands)}; --help tells the rest"
        require(bool(given), "command", "is not given", known)
        name, *others = given
        require(name in commands, "command", f"there is no '{name}'", known)
        return commands[name](others)

    return parse


def require_given(arguments: Sequence[str], **placeholders: str) -> None:
    """UserError for the first of these options that is not among `key=value` arguments; a placeholder says
    what its value is, such as bundle="folder"."""
    for name, placeholder in placeholders.items():
        given = any(one.startswith(f"{name}=") for one in arguments)
        require(given, name, "is not given", f"{name}=<{placeholder}>")


def artifacts_folder(given: str | None) -> Path:
    """The folder that artifacts= names, or the project's own."""
    return Path(given or config.default_artifacts()).expanduser().absolute()


def existing_store(artifacts: str | None, where: config.Tracking) -> Store:
    """The store that these options name, to be read; UserError where there is none of the experiment."""
    from dlas import tracking

    return tracking.existing_store(artifacts_folder(artifacts), where.uri, where.experiment)


def listed(names: str | None) -> list[str]:
    """The names in a list with commas, each once, in the given order."""
    return list(dict.fromkeys(filter(None, (name.strip() for name in (names or "").split(",")))))


def redeploy_command(run: str, artifacts: str | None, tracking: config.Tracking) -> str:
    """The command that deploys a run again, from the store that these options name."""
    places = {"artifacts": artifacts, "tracking.uri": tracking.uri}
    given = [f"{key}={value}" for key, value in places.items() if value is not None]
    return shlex.join(["python", "-m", "dlas.redeploy", f"run={run}", *given])
