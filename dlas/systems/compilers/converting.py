"""How a network is given to a converter that is a program, and how one that cannot take it is told."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dlas.interfaces.compiler import NetworkNotTaken
from dlas.printable import last_line_of, printable


def convert(name: str, command: Sequence[str], made: Path, scratch: Path) -> None:
    """Run the converter in the folder `scratch`; NetworkNotTaken, with the last line that it wrote, where it
    fails or does not make the file `made`."""
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=scratch)
    if ended.returncode != 0 or not made.exists():
        status = f"it ended with status {ended.returncode}"
        raise refused(name, last_line_of(ended.stdout + ended.stderr, status))


def refused(name: str, reason: str) -> NetworkNotTaken:
    """The error that tells that the compiler can't take the network, and why."""
    problem = f"{name} can't take the network: {printable(reason)}"
    return NetworkNotTaken(problem, key="compiler", remedy="compiler=tvm")
