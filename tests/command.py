"""The commands as a user starts them: in a process of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

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
    """End the process that forked the commands of this environment."""
    starter = _starter(*env.items())
    assert starter.stdin is not None
    starter.stdin.close()
    starter.wait(TIME_LIMIT_SECONDS)


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


def _ask(
    starter: subprocess.Popen[str], asked: Sequence[Mapping[str, object]]
) -> tuple[list[int], Callable[[], list[int]]]:
    """The numbers of the processes of the commands, and what waits for their exit statuses."""
    assert starter.stdin is not None
    starter.stdin.write(json.dumps(asked) + "\n")
    starter.stdin.flush()
    return cast(list[int], _answer(starter)), lambda: cast(list[int], _answer(starter))


@cache
def _starter(*variables: tuple[str, str]) -> subprocess.Popen[str]:
    """The process that forks: one for each test process and environment, ended with it by the end of its
    standard input."""
    searched = os.pathsep.join((str(TESTS), str(REPOSITORY)))
    starter = subprocess.Popen(
        [sys.executable, str(TESTS / "warm_commands.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
        env=environment({"PYTHONPATH": searched, **dict(variables)}),
    )
    assert _answer(starter) == "ready"
    return starter


def _answer(starter: subprocess.Popen[str]) -> object:
    assert starter.stdout is not None
    if not select.select([starter.stdout], [], [], TIME_LIMIT_SECONDS)[0]:
        starter.kill()
    line = starter.stdout.readline()
    assert line, f"the process that starts the commands ended with {starter.wait()}"
    return json.loads(line)
