"""One timing at a time, and one search of the same layers: locks that every process of a machine can take."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dlas.errors import UserError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Seconds between two looks of a waiting process; more of them would disturb the one that is timing."""

THIS_MACHINE = "board"

LOCKS, EVERYBODYS = "DLAS_LOCKS", Path("/tmp/dlas")
"""Environment variable that names the folder of locks, and the folder where it is not set: one that does not
depend on TMPDIR, which may differ between the processes of a machine."""


@contextmanager
def held(name: str, what: str, limit: float = -1) -> Iterator[None]:
    """Hold the lock of the board `name`, which a person knows as `what`: see `held_file`."""
    with held_file(lock_file(name), "timing on", what, limit):
        yield


@contextmanager
def held_file(path: Path, doing: str, what: str, limit: float = -1) -> Iterator[None]:
    """Hold the lock that this file is, waited for if need be; that of a process that dies is free again.

    A person is told that another process is `doing` `what`: timing on this machine, say. Raises UserError
    where the lock is not had within `limit` seconds (-1: never), or can't be opened.
    """
    lock = FileLock(path, mode=0o666)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("waiting: another process is %s %s", doing, what)
        try:
            lock.acquire(timeout=limit, poll_interval=POLL_SECONDS)
        except Timeout:
            problem = f"another process has been {doing} it for more than {limit:g} s"
            raise UserError(problem, key=what) from None
    except OSError as error:
        raise UserError(
            f"the lock of {what} can't be opened: {error}",
            key=lock.lock_file,
            remedy=f"every process that is {doing} {what} has to be able to write it",
        ) from None
    try:
        yield
    finally:
        lock.release()


def lock_file(name: str) -> Path:
    """The lock's file, in a folder that is everybody's: in /tmp itself the kernel keeps users from opening
    each other's files (fs.protected_regular)."""
    folder = Path(os.environ.get(LOCKS) or EVERYBODYS)
    try:
        _make(folder)
    except OSError as error:
        own = Path(tempfile.gettempdir()) / EVERYBODYS.name
        log.warning("%s can't hold locks (%s): only processes with this TMPDIR take turns", folder, error)
        _make(own)
        folder = own
    return folder / f"{name}.lock"


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
