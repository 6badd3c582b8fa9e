"""Run a session (see `session`) in a fresh process of this machine; a crash there costs nothing here.

Needs no more than a board has: NumPy, psutil, filelock and the library's runtime.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dlas
from dlas.crashes import crash
from dlas.current_folder import PATH, python_path
from dlas.errors import UserError
from dlas.hardware.sessions import onednn
from dlas.hardware.targets.machine import first_threads, usable, usable_cores
from dlas.printable import last_line_of

PADDING, PAGE_BYTES = "DLAS_PADDING", 4096
"""An environment variable of another length in each session, and the page that it moves the stack within. The
size of the environment alone has changed times by several percent: T. Mytkowicz, A. Diwan, M. Hauswirth and
P. F. Sweeney, "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009. So sessions differ
by that too, and their spread tells of it."""


class LibraryFailed(UserError):
    """A library that could not be loaded, crashed, or took too long in its session."""


def run_session(request: Mapping[str, Any], folder: Path, time_limit: float) -> None:
    """Do what `request` asks in a process of its own; its file is written to `folder`.

    `request` is that of `session` with the number of `cores` to use at most, their `affinity`,
    and whether to use several hardware threads of a core (`smt`).
    Raises LibraryFailed where it can't be loaded, crashes, or takes longer than `time_limit` seconds.
    """
    affinity = list(request["affinity"])
    if not request["smt"]:
        affinity = list(first_threads(affinity or usable()))
    (folder / "request.json").write_text(json.dumps({**request, "affinity": affinity, "parent": os.getpid()}))
    command = [sys.executable, "-m", "dlas.hardware.sessions.session", os.fspath(folder / "request.json")]
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=_environment(request["cores"], affinity),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired:
        raise LibraryFailed(
            f"the library did not finish within {time_limit:g} s and was stopped", key=request["library"]
        ) from None
    if ended.returncode != 0 or not Path(request["result"]).exists():
        raise LibraryFailed(_failure(ended), key=request["library"])


def _environment(cores: int, affinity: list[int]) -> dict[str, str]:
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


def _failure(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode == 0:
        return "the library ended its process before it had given its outputs"
    if ended.returncode < 0:
        return f"the library {crash(ended.returncode)}"
    return f"the library could not be run: {last_line_of(ended.stderr, f'exit code {ended.returncode}')}"
