"""The commands as a user starts them: in a process of their own."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO, cast

import shared
from filelock import FileLock

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
TIME_LIMIT_SECONDS = 900


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This one's, without what a developer's own MLflow would add, and with the tests' modules."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", **(extra or {})}


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"dlas.{module}", *arguments]


def dlas(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    late_env: Mapping[str, str] | None = None,
    killed_at: tuple[str, float] | None = None,
    killed_in: tuple[str, int] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python -m dlas.<module> <arguments>`, run to its end by a fork of a process that has its imports
    behind it. `late_env` has variables that are looked at when they count; those of `env` have to be there
    from the start, so that the process that forks is another one, which `end_starter` ends. It is killed
    (SIGKILL) so many seconds after it wrote this text to its standard error, where one is given, or in the
    call of that number in one of its processes of the function of this dotted name; then its long stages save
    after each step."""
    (ended,) = _warm([(module, *arguments)], env, late_env, killed_at, killed_in)
    return ended


def at_once(*commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Several commands, each a module and its arguments, started at once and run to their ends."""
    return _warm(commands)


def in_terminal(terminal: str, module: str, *arguments: str) -> tuple[int, Callable[[], int]]:
    """Start the command as the leader of the terminal, a device of that name.

    Returns the number of its process, and what waits for its exit status: it has to be called before other
    commands.
    """
    variables = environment({"TERM": "xterm"})
    of_no_size = {name: value for name, value in variables.items() if name not in ("COLUMNS", "LINES")}
    asked = {"module": module, "arguments": arguments, "environment": of_no_size, "terminal": terminal}
    (number,), statuses = _ask(_starter(), [{**asked, "killed_at": None, "killed_in": None}])
    return number, lambda: statuses()[0]


def end_starter(env: Mapping[str, str]) -> None:
    """End the process that forked the commands of this environment, if this test process started it."""
    starter = _starter(*env.items())
    starter.channel.close()
    if starter.process is not None:
        assert starter.process.stdin is not None
        starter.process.stdin.close()
        starter.process.wait(TIME_LIMIT_SECONDS)


def _warm(
    commands: Sequence[tuple[str, ...]],
    env: Mapping[str, str] | None = None,
    late_env: Mapping[str, str] | None = None,
    killed_at: tuple[str, float] | None = None,
    killed_in: tuple[str, int] | None = None,
) -> list[subprocess.CompletedProcess[str]]:
    with tempfile.TemporaryDirectory() as folder:
        places = [
            {name: f"{folder}/{name}{number}" for name in ("stdout", "stderr")}
            for number in range(len(commands))
        ]
        variables = environment({**(env or {}), **(late_env or {})})
        fixed = {
            "environment": variables,
            "terminal": None,
            "killed_at": killed_at,
            "killed_in": killed_in,
        }
        asked = [
            {"module": module, "arguments": arguments, **fixed, **streams}
            for (module, *arguments), streams in zip(commands, places, strict=True)
        ]
        _, statuses = _ask(_starter(*(env or {}).items()), asked)
        return [
            subprocess.CompletedProcess(
                given, code, *(Path(streams[name]).read_text() for name in ("stdout", "stderr"))
            )
            for given, code, streams in zip(commands, statuses(), places, strict=True)
        ]


@dataclass(frozen=True)
class _Starter:
    """The process that forks the commands of an environment."""

    channel: TextIO
    process: subprocess.Popen[str] | None
    """None where another test process started it."""


def _ask(
    starter: _Starter, asked: Sequence[Mapping[str, object]]
) -> tuple[list[int], Callable[[], list[int]]]:
    """The numbers of the processes of the commands, and what waits for their exit statuses."""
    starter.channel.write(json.dumps(asked) + "\n")
    starter.channel.flush()
    return cast(list[int], _answer(starter)), lambda: cast(list[int], _answer(starter))


@cache
def _starter(*variables: tuple[str, str]) -> _Starter:
    """The process that forks: one for each environment. It ends with the test process that started it; others
    that are connected by then keep their own forks of it."""
    name = hashlib.sha256(repr(variables).encode()).hexdigest()[:8]
    address = shared.folder() / f"commands-{name}"
    process = None
    with FileLock(f"{address}.lock"):
        try:
            channel = _connected(address)
        except OSError:  # there is none, or its test process has ended
            address.unlink(missing_ok=True)
            process = _started(address, variables)
            channel = _connected(address)
    return _Starter(channel, process)


def _connected(address: Path) -> TextIO:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIME_LIMIT_SECONDS)
    connection.connect(str(address))
    channel = cast(TextIO, connection.makefile("rw"))
    if not channel.readline():
        raise ConnectionError("it ended meanwhile")
    return channel


def _started(address: Path, variables: Sequence[tuple[str, str]]) -> subprocess.Popen[str]:
    searched = os.pathsep.join((str(TESTS), str(REPOSITORY)))
    own = {"PYTHONPATH": searched, "TMPDIR": str(shared.folder()), **dict(variables)}
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "warm_commands.py"), str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
        env=environment(own),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _answer(starter: _Starter) -> object:
    line = starter.channel.readline()
    assert line, "the process that starts the commands has ended"
    return json.loads(line)
