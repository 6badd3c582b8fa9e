"""The folder of temporary files, and what is asked of a folder that libraries are loaded from."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlas.errors import UserError

TMPDIR = "TMPDIR"
REMEDY = f"another folder: {TMPDIR}=<folder>"
PROBE_BYTES = 1 << 20


def require_room() -> None:
    """UserError, before any work, where temporary files cannot be written, or not where TMPDIR says."""
    with _told(folder(), "cannot be written"), tempfile.TemporaryFile(dir=folder()) as probe:
        probe.write(bytes(PROBE_BYTES))


def folder() -> Path:
    """The folder that TMPDIR names, which Python passes over where it is full or not there; else Python's."""
    asked = os.environ.get(TMPDIR)
    if asked:
        return Path(asked)
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise UserError(
            f"there is no folder for temporary files: {error}", key=TMPDIR, remedy=REMEDY
        ) from None


def require_libraries(place: Path, key: str, remedy: str) -> None:
    """UserError where a library that lies at the place could not be loaded, as on a disk mounted noexec."""
    with _told(place, "is no place for libraries, which have to be executable", key, remedy):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"\0")
            probe.flush()
            mmap.mmap(probe.fileno(), 1, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def require_temporary_libraries() -> None:
    """UserError where a temporary library could not be loaded."""
    require_libraries(folder(), TMPDIR, REMEDY)


def is_full(other: Path) -> bool:
    """Whether a small file is too much, on another disk than that of the `other` folder."""
    try:
        if folder().stat().st_dev == other.stat().st_dev:
            return False
        require_room()
    except OSError:
        return False
    except UserError:
        return True
    return False


@contextmanager
def _told(place: Path, problem: str, key: str = TMPDIR, remedy: str = REMEDY) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{place} {problem}: {error.strerror or error}", key=key, remedy=remedy) from None
