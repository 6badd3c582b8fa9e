"""One timing at a time, and one search of the same layers: locks that every process of a machine can take."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dlas.errors import UserError
from dlas.files.plain_files import read_plain
from dlas.printable import printable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Seconds between two looks of a waiting process; more of them would disturb the one that is timing."""

HOLDER, MAX_HOLDER_BYTES = ".by", 4096
"""Suffix and largest size of the file beside a lock that tells which process holds it."""

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

    A person is told that another process is `doing` `what`: timing on this machine, say; which one, where it
    told so, and at last for how long it was waited for. Raises UserError where the lock is not had
    within `limit` seconds (-1: never), or can't be opened.
    """
    lock = FileLock(path, mode=0o666)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        start, holder = time.monotonic(), _holder(path)
        log.warning("waiting: another process is %s %s%s", doing, what, holder and f": {holder}")
        try:
            lock.acquire(timeout=limit, poll_interval=POLL_SECONDS)
            log.warning("waited %.0f s for %s", time.monotonic() - start, holder or "it")
        except Timeout:
            problem = f"another process has been {doing} it for more than {limit:g} s"
            raise UserError(problem, key=what) from None
    except OSError as error:
        raise UserError(
            f"the lock of {what} can't be opened: {error}",
            key=lock.lock_file,
            remedy=f"every process that is {doing} {what} has to be able to write it",
        ) from None
    _tell_holder(path)
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


def _tell_holder(path: Path) -> None:
    """Write beside the lock which process holds it; that it can't be told keeps nobody from working."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = Path(sys.argv[0]).name if spec is None else spec.name
    mine = path.with_suffix(f".{os.getpid()}")
    try:
        mine.write_text(f"process {os.getpid()} ({program})", encoding="utf-8")
        mine.replace(path.with_suffix(HOLDER))
    except OSError:
        mine.unlink(missing_ok=True)


def _holder(path: Path) -> str:
    """The process that holds the lock, as it told; "" where it told nothing."""
    try:
        return printable(read_plain(path.with_suffix(HOLDER), MAX_HOLDER_BYTES).decode("utf-8", "replace"))
    except UserError:
        return ""


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
