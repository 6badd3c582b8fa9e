"""How the process of a session is started, and what is said when it fails."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlas
from dlas.crashes import crash
from dlas.current_folder import PATH, python_path
from dlas.errors import UserError
from dlas.hardware.sessions.process import onednn
from dlas.hardware.targets.machine import first_threads, usable, usable_cores
from dlas.printable import last_line_of

PADDING, PAGE_BYTES = "DLAS_PADDING", 4096
"""An environment variable of another length in each session, and the page that it moves the stack within. The
size of the environment alone has changed times by several percent: T. Mytkowicz, A. Diwan, M. Hauswirth and
P. F. Sweeney, "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009. So sessions differ
by that too, and their spread tells of it."""

REQUEST = "request.json"


class LibraryFailed(UserError):
    """A library that could not be loaded, crashed, or took too long in its session."""


@dataclass(frozen=True)
class Start:
    """What starts the process of a session."""

    command: list[str]
    environment: Mapping[str, str]


def start(request: Mapping[str, Any], folder: Path) -> Start:
    """The start of a process that does what `request` asks, which is written to `folder` for it.

    `request` is that of `session` with the number of `cores` to use at most, their `affinity`, and whether to
    use several hardware threads of a core (`smt`).
    """
    affinity = list(request["affinity"])
    if not request["smt"]:
        affinity = list(first_threads(affinity or usable()))
    written = {**request, "affinity": affinity, "parent": os.getpid()}
    (folder / REQUEST).write_text(json.dumps(written))
    command = [sys.executable, "-m", "dlas.hardware.sessions.session", os.fspath(folder / REQUEST)]
    return Start(command, environment(request["cores"], affinity))


def environment(cores: int, affinity: list[int]) -> dict[str, str]:
    """The environment of a session that may use so many cores, of those in `affinity` if there are some."""
    packages = os.fspath(Path(dlas.__file__).resolve().parent.parent)
    confined = bool(affinity) or len(usable()) < (os.cpu_count() or 1)
    most = min(len(affinity or usable()), usable_cores())
    return {
        **os.environ,
        PATH: python_path(packages, after=os.environ.get(PATH)),
        "PYTHONSAFEPATH": "1",
        **onednn.environment(),
        PADDING: "x" * secrets.randbelow(PAGE_BYTES),
        "TVM_NUM_THREADS": str(min(cores, most)),
        # TVM binds its threads to cores counted from 0, even where this process may only run on others.
        **({"TVM_BIND_THREADS": "0"} if confined else {}),
    }


def require_done(request: Mapping[str, Any], status: int, errors: str) -> None:
    """LibraryFailed unless a session that ended with this status, and wrote so to stderr, left its result."""
    if status == 0 and Path(request["result"]).exists():
        return
    if status == 0:
        problem = "the library ended its process before it had given its outputs"
    elif status < 0:
        problem = f"the library {crash(status)}"
    else:
        problem = f"the library could not be run: {last_line_of(errors, f'exit code {status}')}"
    raise LibraryFailed(problem, key=request["library"])


def too_slow(request: Mapping[str, Any], time_limit: float) -> LibraryFailed:
    """The error of a session that took longer than its limit in seconds."""
    return LibraryFailed(
        f"the library did not finish within {time_limit:g} s and was stopped", key=request["library"]
    )
