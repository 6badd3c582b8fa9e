"""Every measured schedule, kept for the next network that has the layer.

    <root>/store.json                             the version of all this
    <root>/<tuner and its TVM's version>/<target>/<algorithm>-<workload>-<definition>.json

Each file of a shelf holds the records of one task in the tuner's own format, a line each. <target> and
<definition> are digests: of what decides the code that is generated, and of what the kernel computes, so that
an algorithm that is written anew starts anew. Files only grow, under a lock: processes may share a store.

Version 1 had no store.json, and named algorithms by their dotted paths. It is brought up to date when it is
opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from filelock import FileLock

from dlas import documents
from dlas.documents import Document
from dlas.errors import UserError
from dlas.hardware.target import Target
from dlas.systems.old_records import with_lasting_names
from dlas.systems.tuners.task import TuningTask, computed

SUFFIX = ".json"

SEPARATOR = "-"
"""In the name of a file; neither modules nor workloads have it in theirs."""

VERSION = "store.json"

STORE = Document("tuning store", version=2, converters=(dict,))

MEMBER = re.compile(r"[\w.-]+/[0-9a-f]+/[\w.-]+\.json")
"""Of an exported store: a path as above."""

DIGEST = 12
"""Hexadecimal digits in a name."""


@dataclass(frozen=True)
class TuningStore:
    """What every tuner measured for every target."""

    root: Path

    def shelf(self, tuner: str, target: Target) -> Shelf:
        """The records of one tuner for one target, whatever the target is called.

        UserError where a newer version wrote the store, or an older one did and it can't be written.
        """
        _bring_up_to_date(self.root)
        decisive = [target.triple, target.cpu, *target.features, target.cores, *target.affinity]
        decisive += ["emulated"] * target.emulated + ["no smt"] * (not target.smt)
        return Shelf(self.root / tuner / _digest(json.dumps(decisive)), target)


@dataclass(frozen=True)
class Shelf:
    """A folder with one file of records a task."""

    folder: Path
    target: Target

    def records(self, task: TuningTask) -> list[str]:
        """What the store holds for `task`, in the order of the measuring."""
        return _records(self.file(task))

    def add(self, task: TuningTask, records: Sequence[str]) -> None:
        """Append the records that are not there yet; they are on the disk when this returns."""
        _add(self.file(task), records)

    def tasks(self, algorithm: str) -> list[TuningTask]:
        """Those that it has records of by `algorithm`, as the algorithm is now or once was."""
        files = self.folder.glob(f"{algorithm}{SEPARATOR}*{SUFFIX}")
        keys = {file.name.rpartition(SEPARATOR)[0].replace(SEPARATOR, ":") for file in files}
        return [TuningTask.from_key(key) for key in sorted(keys)]

    def file(self, task: TuningTask) -> Path:
        """Where the records of `task` are."""
        digest = _computed_digest(replace(task, count=1), self.target)
        return self.folder / f"{task.key.replace(':', SEPARATOR)}{SEPARATOR}{digest}{SUFFIX}"


def export(root: Path, archive: Path) -> int:
    """Write every record of the store into a new zip file `archive`; returns how many. UserError if it has
    none, or the file can't be written."""
    kept: dict[str, list[str]] = {}
    for file in _record_files(root):
        name, lines = _up_to_date(file.relative_to(root).as_posix(), file.read_text())
        kept[name] = [*kept.get(name, ()), *lines]
    if not kept:
        raise UserError(f"there are no tuning records in {root}", key="artifacts")
    try:
        with zipfile.ZipFile(archive, "x", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(VERSION, documents.text(STORE, {}))
            for name, records in kept.items():
                packed.writestr(name, "".join(f"{line}\n" for line in records))
    except OSError as error:
        raise UserError(f"{archive} can't be written: {error.strerror}", key="file") from None
    return sum(len(records) for records in kept.values())


def merge(root: Path, archive: Path) -> int:
    """Add the records of an exported store to the store at `root`; returns how many were new. UserError where
    the file is none, or is damaged: then nothing is added."""
    try:
        with zipfile.ZipFile(archive) as packed:
            found = {name: packed.read(name).decode() for name in packed.namelist()}
            written_by = found.pop(VERSION, documents.text(STORE, {}))
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{archive} can't be read as an exported tuning store: {error}", key="file") from None
    strange = [name for name in found if not MEMBER.fullmatch(name)]
    if strange:
        raise UserError(f"{archive} is no exported tuning store: it holds {strange[0]}", key="file")
    documents.parse(STORE, written_by.encode(), f"{archive}: {VERSION}")
    _bring_up_to_date(root)
    brought = (_up_to_date(name, text) for name, text in found.items())
    return sum(_add(root / name, records) for name, records in brought)


def whole_lines(text: str) -> list[str]:
    """The lines of `text` that end in a newline."""
    return text.split("\n")[:-1]


def _bring_up_to_date(root: Path) -> None:
    version = root / VERSION
    if version.exists():
        documents.read(STORE, version)
        return
    with _writing(root), FileLock(root / "store.lock"):
        for file in _record_files(root):
            name, records = _up_to_date(file.relative_to(root).as_posix(), file.read_text())
            if root / name != file:
                _add(root / name, records)
                file.unlink()
        documents.write(STORE, version, {})


def _record_files(root: Path) -> list[Path]:
    return sorted(root.glob(f"*/*/*{SUFFIX}"))


def _up_to_date(name: str, text: str) -> tuple[str, list[str]]:
    """A file of any version as this one writes it."""
    return with_lasting_names(name), whole_lines(with_lasting_names(text))


def _records(file: Path) -> list[str]:
    return whole_lines(file.read_text()) if file.exists() else []


def _add(file: Path, records: Sequence[str]) -> int:
    """Append the records that `file` lacks; returns how many. UserError where it can't be written."""
    with _writing(file.parent), FileLock(file.parent / "store.lock"):
        return _append(file, records)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """In a folder that is there; UserError where it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"the tuning store can't be written: {error.strerror or error}",
            key="artifacts",
            remedy=f"Make {folder} writable, with room on its disk, and start again.",
        ) from None


def _append(file: Path, records: Sequence[str]) -> int:
    present = _records(file)
    known = set(present)
    further = [record for record in dict.fromkeys(records) if record not in known]
    if further:
        with file.open("a+b") as opened:
            # A write that was cut off ends without a newline.
            opened.truncate(sum(len(line.encode()) + 1 for line in present))
            opened.write("".join(f"{record}\n" for record in further).encode())
            opened.flush()
            os.fsync(opened.fileno())
    return len(further)


@cache
def _computed_digest(task: TuningTask, target: Target) -> str:
    return _digest(computed(task, target).script())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
