"""What all test processes of a run share: the first of them that needs it makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

FOLDER = "DLAS_TESTS_SHARED"
"""Environment variable with the folder, which what the tests start finds there too."""


def folder() -> Path:
    return Path(os.environ[FOLDER])


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The file of that name in the folder. `make` writes it, where no process has done so; others wait."""
    path = folder() / name
    with FileLock(f"{path}.lock"):
        if not path.exists():
            unfinished = Path(f"{path}.unfinished")
            make(unfinished)
            unfinished.rename(path)
    return path
