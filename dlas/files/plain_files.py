"""Files that someone else made: only plain ones are opened, and no more is read than was asked for.

A pipe would keep its reader waiting for ever, a link leads elsewhere, a device does what devices do.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from dlas.errors import UserError
from dlas.printable import printable

KIND = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def open_plain(path: Path) -> BufferedReader:
    """The file, opened for reading. Raises UserError, naming it, for one that is missing, that can't be
    read, or that is no plain file."""
    try:
        _require_plain(path, os.lstat(path).st_mode)
        # What it is may change between the two looks: a pipe must not block, and a link is not followed.
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise UserError("is missing", key=printable(path)) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise UserError("is a link, and no plain file", key=printable(path)) from None
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"can't be read: {reason}", key=printable(path)) from None
    file = os.fdopen(opened, "rb")
    try:
        _require_plain(path, os.fstat(opened).st_mode)
    except UserError:
        file.close()
        raise
    return file


def read_plain(path: Path, largest: int) -> bytes:
    """The whole content of the file. UserError, naming it, as `open_plain`, and for more than
    `largest` bytes."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(largest + 1) if size <= largest else b""
    if size > largest or len(content) > largest:
        raise UserError(f"is too large: more than {largest} bytes", key=printable(path))
    return content


def _require_plain(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in KIND if is_one(mode)), "a device")
        raise UserError(f"is {kind}, and no plain file", key=printable(path))
