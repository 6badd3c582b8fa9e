"""Folders: whether that of artifacts can be written and its disk is full, and what one holds."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlas.errors import UserError, require
from dlas.files import temporary
from dlas.processes import identity

REMEDY = "another folder: artifacts=<folder>"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Not every library raises an OSError: safetensors and sqlite say it in words.
FULL_IN_WORDS = (*(os.strerror(code) for code in FULL), "disk is full")
# Kept free for what is left to write when the disk is full: how the run ended.
RESERVE, RESERVE_BYTES = "reserve", 1 << 20
OWNER = ".process"
"""Suffix of the file beside a scratch folder that names the process which it belongs to. That process holds a
lock of the file: it tells that the process lives where its number can't, and whatever clocks say."""

LEFT_SECONDS = 86400.0
"""Age of a scratch folder that counts as left where neither tells."""


def require_writable(artifacts: Path) -> None:
    """Make the folder and a file in it; raises `UserError` where that fails."""
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=artifacts) as probe:
            probe.write(bytes(RESERVE_BYTES))
    except OSError as error:
        raise _unwritable(artifacts, error) from None


def require_writable_folder(key: str, folder: Path) -> None:
    """Make the folder that this option names; UserError where no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        problem = f"{folder} is no folder that can be written: {error.strerror or error}"
        raise UserError(problem, key=key, remedy="another folder") from None


def require_writable_file(key: str, path: Path) -> None:
    """UserError where the file that this option names can't be written; it is not made yet."""
    remedy = "a file in a folder that is there and can be written"
    require(not path.is_dir(), key, f"{path} is a folder", remedy)
    try:
        if path.exists():
            path.open("a").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", key=key, remedy=remedy) from None


@contextmanager
def scratch_folder(artifacts: Path, name: str) -> Iterator[Path]:
    """A folder on the disk of the artifacts, which is empty but for the space that it reserves. It is removed
    afterwards, unless it was renamed; after a kill by `remove_left`."""
    folder = scratch(artifacts, name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    owner = folder.with_suffix(OWNER)
    try:
        with owner.open("w") as held:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.write(str(identity.this()))
            held.flush()
            folder.mkdir()
            (folder / RESERVE).write_bytes(bytes(RESERVE_BYTES))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        owner.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder and its folders."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def free_reserve(folder: Path) -> None:
    """Give the space that a scratch folder reserved to what is left to be written."""
    (folder / RESERVE).unlink(missing_ok=True)


def scratch(artifacts: Path, name: str) -> Path:
    """The scratch folder of that name, there or not."""
    return artifacts / "unfinished" / name


def remove_left(artifacts: Path, now: float) -> list[Path]:
    """Remove the scratch folders of processes that are over; returns those that were there.

    Where that can't be told from here, and of earlier versions, which did not say whose they are, those that
    nobody holds, and nobody changed for a day.
    """
    removed = []
    for name in sorted({path.stem for path in scratch(artifacts, "").glob("*")}):
        folder = scratch(artifacts, name)
        if _is_left(folder, now):
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
            folder.with_suffix(OWNER).unlink(missing_ok=True)
    return removed


def _is_left(folder: Path, now: float) -> bool:
    try:
        owner = identity.parsed(folder.with_suffix(OWNER).read_text())
    except FileNotFoundError:
        owner = None
    over = None if owner is None else owner.is_over()
    if over is None and _is_held(folder.with_suffix(OWNER)):
        return False
    if over is None:
        there = [each for each in (folder, *folder.rglob("*"), folder.with_suffix(OWNER)) if each.exists()]
        return all(now - each.stat().st_mtime > LEFT_SECONDS for each in there)
    return over


def _is_held(path: Path) -> bool:
    """Whether a process holds the file's lock; False where that can't be told."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def disk_troubles(artifacts: Path) -> Iterator[None]:
    """Turn errors of a full or read-only disk into a `UserError` that names the folder; other
    exceptions pass."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            raise _unwritable(artifacts, error) from error
        if _tells_of_full_disk(error) and temporary.is_full(artifacts):
            remedy = f"free some space, or {temporary.REMEDY}; the finished stages are kept"
            problem = f"the disk of temporary files, {temporary.folder()}, is full"
            raise UserError(problem, key=temporary.TMPDIR, remedy=remedy) from error
        if _tells_of_full_disk(error):
            remedy = f"free some space, or {REMEDY}; the finished stages are kept"
            raise UserError(f"the disk of {artifacts} is full", key="artifacts", remedy=remedy) from error
        raise


def _tells_of_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(words in str(error) for words in FULL_IN_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unwritable(artifacts: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"{artifacts} cannot be written: {reason}", key="artifacts", remedy=REMEDY)
