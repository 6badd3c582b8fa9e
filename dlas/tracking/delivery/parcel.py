"""A run as a folder: `run.json` says all that a store tells of it, `files/` holds its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dlas.errors import UserError
from dlas.files import documents, durable
from dlas.files.documents import Document
from dlas.tracking.store import Number

RUN, FILES = "run.json", "files"

DOCUMENT = Document("description of a run", largest_bytes=1 << 28, finite=False)


@dataclass(frozen=True)
class File:
    """Size and content of a file of a run."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """All that a store tells of a run that has ended."""

    store: str | None
    """Address of the store that it is for; None for the database in the same artifacts folder."""
    experiment: str
    run_id: str | None
    """Its id in that store; None where it has none yet."""
    origin: str
    """Its id where it was made."""
    name: str
    status: str
    started: int
    ended: int
    """Times in milliseconds since the epoch."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Number, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    """Its files by their paths below `files/`."""


def write(folder: Path, parcel: Parcel) -> None:
    """Write the description into the folder: whole and on the disk when this returns, or not at all."""
    durable.write(folder / RUN, documents.text(DOCUMENT, asdict(parcel)))


def read(folder: Path) -> Parcel:
    """The description in the folder; UserError where there is none that can be read."""
    path = folder / RUN
    return documents.checked(Parcel, documents.read(DOCUMENT, path), DOCUMENT, str(path))


def described(path: Path) -> File:
    """The size and content of a file."""
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def files_in(folder: Path) -> dict[str, File]:
    """The files that lie in the folder, by their paths from there."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): described(path) for path in paths}


def require_same(folder: Path, files: Mapping[str, File]) -> None:
    """UserError, naming the first, where the folder holds other files, or others than these."""
    found = files_in(folder)
    for name in sorted({*found, *files}):
        if found.get(name) != files.get(name):
            what = "is missing" if name not in found else "is not as it was written"
            raise UserError(f"{name} {what}", key=str(folder))
