"""Files of code as this process first read them: what it runs is no other code than that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlas.errors import UserError

Read = Callable[[Path], bytes]
"""Function that gives the content of a file."""

_first: dict[Path, bytes] = {}


def as_first_read(path: Path) -> bytes:
    """The file's content; UserError where it is another than when this process first read it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"this code cannot be read: {error.strerror}", key=str(path)) from None
    if _first.setdefault(path, content) != content:
        raise UserError(
            "this code was changed while the run was at work, which may still have the older one",
            key=str(path),
            remedy="start again; the finished stages are kept",
        )
    return content
