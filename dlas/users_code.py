"""Exceptions of code that is a user's own: a factory, a forward, what reads a data set."""

from __future__ import annotations

import site
import sysconfig
import traceback
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dlas.errors import UserError
from dlas.printable import printable

PACKAGE = Path(__file__).resolve().parent


def place(error: BaseException) -> str:
    """`file:line` of the user's own code that raised it; "" where that was code of this package.

    What is installed and Python's own library are passed over: they do as they are told.
    """
    walked = traceback.walk_tb(error.__traceback__)
    return innermost((frame.f_code.co_filename, line) for frame, line in walked)


def innermost(frames: Iterable[tuple[str, int]]) -> str:
    """`file:line` of the last of these places in code, outermost first, that is in the user's own, as `place`
    tells it."""
    found = ""
    for file, line in frames:
        if not file.startswith("<") and not _installed(file):
            found = "" if _is_within(file, PACKAGE) else f"{_short(file)}:{line}"
    return found


def told(error: BaseException) -> str:
    """The kind of the exception, the first line that it says, and the place in the user's code."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {printable(lines[0].rstrip())}" if lines else type(error).__name__
    where = place(error)
    return f"{said} ({where})" if where else said


def own_mistake(error: Exception) -> UserError | None:
    """What to tell of an exception that a user's own code raised; None where this package did."""
    if not place(error):
        return None
    return UserError(
        f"your own code failed: {told(error)}",
        remedy="mend it there; hydra.verbose=dlas shows how it was called",
    )


@cache
def _installed(file: str) -> bool:
    return any(_is_within(file, folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {
        *(sysconfig.get_path(name) for name in names),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
    return tuple(Path(folder).resolve() for folder in folders)


def _is_within(file: str, folder: Path) -> bool:
    return Path(file).resolve().is_relative_to(folder)


def _short(file: str) -> str:
    """From the current folder where it lies in it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
