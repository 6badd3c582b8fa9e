"""The commands as a user starts them: in a process of their own."""

from __future__ import annotations

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
    loaded: Sequence[Path] = (),
    killed_at: tuple[str, float] | None = None,
    killed_in: tuple[str, int] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python -m dlas.<module> <arguments>`, run to its end by a fork of a process that has its imports
    behind it: variables of `env` that count from the start of a process come too late. So its processes find
    the libraries `loaded` by their names, which those that it starts itself look for in LD_LIBRARY_PATH. It
    is killed (SIGKILL) so many seconds after it wrote this text to its standard error, where one is given, or
    in the call of that number in one of its processes of the function of this dotted name; then its long
    stages save after each step."""
    (ended,) = _warm([(module, *arguments)], env, loaded, killed_at, killed_in)
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
    (number,), statuses = _ask([{**asked, "loaded": [], "killed_at": None, "killed_in": None}])
    return number, lambda: statuses()[0]


def _warm(
    commands: Sequence[tuple[str, ...]],
    env: Mapping[str, str] | None = None,
    loaded: Sequence[Path] = (),
    killed_at: tuple[str, float] | None = None,
    killed_in: tuple[str, int] | None = None,
) -> list[subprocess.CompletedProcess[str]]:
    with tempfile.TemporaryDirectory() as folder:
        places = [
            {name: f"{folder}/{name}{number}" for name in ("stdout", "stderr")}
            for number in range(len(commands))
        ]
        fixed = {
            "environment": environment(env),
            "loaded": [str(library) for library in loaded],
            "terminal": None,
            "killed_at": killed_at,
            "killed_in": killed_in,
        }
        asked = [
            {"module": module, "arguments": arguments, **fixed, **streams}
            for (module, *arguments), streams in zip(commands, places, strict=True)
        ]
        _, statuses = _ask(asked)
        return [
            subprocess.CompletedProcess(
                given, code, *(Path(streams[name]).read_text() for name in ("stdout", "stderr"))
            )
            for given, code, streams in zip(commands, statuses(), places, strict=True)
        ]


@dataclass(frozen=True)
class _Starter:
    """The process that forks the commands. It ends with the test process that started it; others that are
    connected by then keep their own forks of it."""

    channel: TextIO
    process: subprocess.Popen[str] | None
    """None where another test process started it."""


def _ask(asked: Sequence[Mapping[str, object]]) -> tuple[list[int], Callable[[], list[int]]]:
    """The numbers of the processes of the commands, and what waits for their exit statuses."""
    starter = _starter()
    starter.channel.write(json.dumps(asked) + "\n")
    starter.channel.flush()
    return cast(list[int], _answer(starter)), lambda: cast(list[int], _answer(starter))


@cache
def _starter() -> _Starter:
    address = shared.folder() / "commands"
    process = None
    with FileLock(f"{address}.lock"):
        try:
            channel = _connected(address)
        except OSError:  # there is none, or its test process has ended
            address.unlink(missing_ok=True)
            process = _started(address)
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


def _started(address: Path) -> subprocess.Popen[str]:
    searched = os.pathsep.join((str(TESTS), str(REPOSITORY)))
    own = {"PYTHONPATH": searched, "TMPDIR": str(shared.folder())}
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
