"""The artifacts folder: that it can be written, and what a full disk looks like."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlas.errors import UserError

REMEDY = "another folder: artifacts=<folder>"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Compilers, sqlite and torch each have their own words for a full disk; less free than this says it for them.
NOTHING_LEFT = 1 << 20


def require_writable(artifacts: Path) -> None:
    """Makes the folder and a file in it; raises `UserError` where that fails."""
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=artifacts) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise _unwritable(artifacts, error) from None


@contextmanager
def scratch_folder(artifacts: Path, name: str) -> Iterator[Path]:
    """An empty folder on the disk of the artifacts, gone afterwards."""
    folder = artifacts / "unfinished" / name
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk_troubles(artifacts: Path) -> Iterator[None]:
    """A full or read-only disk becomes a `UserError` that names the folder; other exceptions pass."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.EROFS:
            raise _unwritable(artifacts, error) from error
        if code in FULL or shutil.disk_usage(artifacts).free < NOTHING_LEFT:
            remedy = f"free some space, or {REMEDY}; the finished stages are kept"
            raise UserError(f"the disk of {artifacts} is full", key="artifacts", remedy=remedy) from error
        raise


def _unwritable(artifacts: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{artifacts} cannot be written: {reason}", key="artifacts", remedy=REMEDY)
