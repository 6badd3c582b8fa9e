"""The store of every measured schedule, kept for the next network that has the layer.

    <root>/store.json                             the version of all this
    <root>/<tuner and its TVM's version>/<target>/<algorithm>-<workload>-<definition>.json

Each file of a shelf holds the records of one task in the tuner's own format, a line each. <target> and
<definition> are digests: of what makes a schedule as fast as it is there, which is what the compiler is told
and where the code runs; and of what the kernel computes, so that an algorithm that is written anew starts
anew. Files only grow, under a lock: processes may share a store.

Version 1 had no store.json, and named algorithms by their dotted paths. It is brought up to date when it is
opened. Version 2 had other digests of targets: its records are taken over when their target is asked for.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from filelock import FileLock

from dlas.errors import UserError
from dlas.files import documents, durable
from dlas.files.documents import Document
from dlas.files.plain_files import open_plain
from dlas.hardware.boards import lock
from dlas.hardware.targets.llvm import compiler_options
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.printable import printable
from dlas.systems.tuners.common.old_records import with_lasting_names
from dlas.systems.tuners.common.task import computed

SUFFIX = ".json"

SEPARATOR = "-"
"""Separator in the name of a file; neither modules nor workloads have it in their names."""

VERSION = "store.json"

STORE = Document("tuning store", version=3, converters=(dict, dict))

MEMBER = re.compile(r"\w[\w.-]*/[0-9a-f]+/\w[\w.-]*\.json")
"""Name of a file in an exported store: a path as above, without dots that lead out of it."""

MAX_MEMBERS, MAX_BYTES = 100_000, 1 << 30
"""Largest number of files in an exported store, and of their bytes unpacked: a search of 1000 trials
leaves a megabyte."""

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # one that asks for a password
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""Exceptions that a damaged zip file raises."""

DIGEST = 12
"""Hexadecimal digits of a digest in a name."""


@dataclass(frozen=True)
class TuningStore:
    """All that every tuner measured for every target."""

    root: Path

    def shelf(self, tuner: str, target: Target) -> Shelf:
        """The records of one tuner for one target, whatever the target is called.

        UserError where a newer version wrote the store, or an older one did and it can't be written.
        """
        _bring_up_to_date(self.root)
        told = {"compiler": compiler_options(target.code), "placement": asdict(target.placement)}
        shelf = Shelf(self.root / tuner / _digest(json.dumps(told, sort_keys=True)), target)
        _take_over(self.root / tuner / _digest_of_version_2(target), shelf.folder)
        return shelf


@dataclass(frozen=True)
class Shelf:
    """A folder with one file of records a task."""

    folder: Path
    target: Target

    def alone(self) -> AbstractContextManager[None]:
        """Keep other searches for these records out of the block: the next one finds what this one measured.
        UserError where the store can't be written."""
        return lock.held_file(self.folder / "search.lock", "searching", f"schedules for {self.target.name}")

    def records(self, task: TuningTask) -> list[str]:
        """The records of `task`, in the order in which they were measured."""
        return _records(self.file(task))

    def add(self, task: TuningTask, records: Sequence[str]) -> None:
        """Append the records that are not there yet; they are on the disk when this returns."""
        _add(self.file(task), records)

    def tasks(self, algorithm: str) -> list[TuningTask]:
        """The tasks by `algorithm`, as it is now or once was, that the shelf has records of."""
        files = self.folder.glob(f"{algorithm}{SEPARATOR}*{SUFFIX}")
        keys = {file.name.rpartition(SEPARATOR)[0].replace(SEPARATOR, ":") for file in files}
        return [TuningTask.from_key(key) for key in sorted(keys)]

    def file(self, task: TuningTask) -> Path:
        """The file of the records of `task`."""
        digest = _computed_digest(replace(task, count=1), self.target.code)
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
        if not isinstance(error, FileExistsError):
            with suppress(OSError):
                archive.unlink()  # what a full disk left of it
        raise UserError(f"{archive} can't be written: {error.strerror}", key="file") from None
    return sum(len(records) for records in kept.values())


def merge(root: Path, archive: Path) -> int:
    """Add the records of an exported store to the store at `root`; returns how many were new. UserError where
    the file is none, or is damaged: then nothing is added."""
    found = _unpacked(archive)
    written_by = found.pop(VERSION, documents.text(STORE, {}))
    strange = [name for name in found if not MEMBER.fullmatch(name)]
    if strange:
        raise UserError(
            f"{printable(archive)} is no exported tuning store: it holds {printable(strange[0])}", key="file"
        )
    documents.parse(STORE, written_by.encode(), f"{printable(archive)}: {VERSION}")
    _bring_up_to_date(root)
    brought = (_up_to_date(name, text) for name, text in found.items())
    return sum(_add(root / name, records) for name, records in brought)


def _unpacked(archive: Path) -> dict[str, str]:
    """The text of every member by its name; their sizes are looked at before any is read."""
    try:
        with open_plain(archive) as file, zipfile.ZipFile(file) as packed:
            members = packed.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or size > MAX_BYTES:
                raise ValueError(f"it holds {len(members)} files of {size} bytes together")
            return {member.filename: _read(packed, member).decode() for member in members}
    except UserError as error:
        raise UserError(f"{printable(archive)} {error.problem}", key="file") from None
    except UNREADABLE as error:
        problem = f"{printable(archive)} can't be read as an exported tuning store: {printable(error)}"
        raise UserError(problem, key="file") from None


def _read(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The member's content, which may be longer than its declared size."""
    with packed.open(member) as file:
        content = file.read(member.file_size + 1)
    if len(content) > member.file_size:
        raise ValueError(f"{member.filename} has more bytes than it says")
    return content


def whole_lines(text: str) -> list[str]:
    """The lines of `text` that end in a newline."""
    return text.split("\n")[:-1]


def _bring_up_to_date(root: Path) -> None:
    version = root / VERSION
    if version.exists():
        documents.read(STORE, version)
        if version.read_text() == documents.text(STORE, {}):
            return
    with _writing(root), FileLock(root / "store.lock"):
        for file in _record_files(root):
            name, records = _up_to_date(file.relative_to(root).as_posix(), file.read_text())
            if root / name != file:
                _add(root / name, records)
                file.unlink()
        durable.write(version, documents.text(STORE, {}))  # others read it meanwhile, without the lock


def _take_over(old: Path, new: Path) -> None:
    """Move the records of the folder `old`, where there is one, to `new`."""
    for file in sorted(old.glob(f"*{SUFFIX}")):
        _add(new / file.name, _records(file))
        file.unlink(missing_ok=True)  # another process may do the same


def _digest_of_version_2(target: Target) -> str:
    code, placement = target.code, target.placement
    decisive = [code.triple, code.cpu, *code.features, code.cores, *placement.affinity]
    decisive += ["emulated"] * placement.emulated + ["no smt"] * (not placement.smt)
    return _digest(json.dumps(decisive))


def _record_files(root: Path) -> list[Path]:
    return sorted(root.glob(f"*/*/*{SUFFIX}"))


def _up_to_date(name: str, text: str) -> tuple[str, list[str]]:
    """The name and the records of a file of any version, as this version writes them."""
    return with_lasting_names(name), whole_lines(with_lasting_names(text))


def _records(file: Path) -> list[str]:
    return whole_lines(file.read_text()) if file.exists() else []


def _add(file: Path, records: Sequence[str]) -> int:
    """Append the records that `file` lacks; returns how many. UserError where it can't be written."""
    with _writing(file.parent), FileLock(file.parent / "store.lock"):
        return _append(file, records)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make the folder, for a block that writes in it; UserError where it can't be written."""
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
def _computed_digest(task: TuningTask, target: CodeTarget) -> str:
    return _digest(computed(task, target).script())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
