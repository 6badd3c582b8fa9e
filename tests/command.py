"""The commands as a user starts them: in a process of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

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
) -> subprocess.CompletedProcess[str]:
    """`python -m dlas.<module> <arguments>`, run to its end: by a fork of a process that has its imports
    behind it, or, where its environment has to differ from the start, by a new one. `late_env` is for a fork:
    variables that are looked at when they count. It is killed (SIGKILL) so many seconds after it wrote this
    text to its standard error, where one is given."""
    if env is None:
        return _warm(module, *arguments, env=late_env, killed_at=killed_at)
    assert killed_at is None
    return subprocess.run(
        command(module, *arguments),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment(env),
        timeout=TIME_LIMIT_SECONDS,
    )


def _warm(
    module: str, *arguments: str, env: Mapping[str, str] | None, killed_at: tuple[str, float] | None
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: f"{folder}/{name}" for name in ("stdout", "stderr")}
        asked = {"module": module, "arguments": arguments, "environment": environment(env), **streams}
        asked["killed_at"] = killed_at
        starter = _starter()
        assert starter.stdin is not None
        starter.stdin.write(json.dumps(asked) + "\n")
        starter.stdin.flush()
        code = _answer(starter)
        stdout, stderr = (Path(path).read_text() for path in streams.values())
    return subprocess.CompletedProcess([module, *arguments], code, stdout, stderr)


@cache
def _starter() -> subprocess.Popen[str]:
    """The process that forks: one for each test process, ended with it by the end of its standard input."""
    searched = os.pathsep.join((str(TESTS), str(REPOSITORY)))
    starter = subprocess.Popen(
        [sys.executable, str(TESTS / "warm_commands.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
        env=environment({"PYTHONPATH": searched}),
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
