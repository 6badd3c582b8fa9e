"""A bundle as one file, to be sent or kept: a zip of the same bytes whenever and wherever it is packed.

    pack(Bundle, x.dlas.zip)                 the files of a verified bundle, in the order of their names
    unpack(x.dlas.zip, folder) -> Bundle     the verified bundle, in a folder that was not there
    folder_of(path, scratch) -> Path         of a bundle that may be either

Entries are stored, not compressed: what a compressor writes depends on its version, weights hardly shrink,
and an archive can hold no more than its own size. Any zip tool reads it. `unpack` takes no other form.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from dlas.bundle import sealing
from dlas.bundle.layout import MANIFEST, SIGNATURE, Bundle
from dlas.bundle.signing import signer
from dlas.errors import UserError
from dlas.files.plain_files import open_plain
from dlas.printable import printable

SUFFIX = ".dlas.zip"

WHEN = (1980, 1, 1, 0, 0, 0)
"""Time of every entry: the first that a zip can tell."""

MODE = stat.S_IFREG | 0o644

MAX_DIRECTORY = 1 << 24
"""Largest size of an archive's directory, in bytes, which is read as a whole."""

END, END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
"""Last records of a zip (APPNOTE.TXT, 4.3.16 and 4.3.14): the directory's size is the sixth and the ninth."""

LOCATOR_BYTES = 20

REMEDY = "Fetch it again, or make it anew: python -m dlas.bundle pack bundle=<folder>"


def pack(verified: Bundle, file: Path) -> None:
    """Write the verified bundle into the new `file`, whole or not at all. UserError where it is there
    already."""
    require_new(file)
    manifest = sealing.manifest(verified.root)
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        with ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted([MANIFEST, *manifest.files, *_signature(verified)]):
                _add(archive, verified.root / name, name)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def require_new(file: Path) -> None:
    """UserError where the archive that is to be made is there already."""
    if file.exists():
        raise UserError(f"{printable(file)} is there already", key="file", remedy="file=<another name>")


def unpack(file: Path, folder: Path, signers: Path | None = None) -> Bundle:
    """The verified bundle in the archive `file`, unpacked into the new `folder`, whole or not at all; signed
    by one of those in the file `signers`, where it is given.

    Raises UserError that names what is wrong: with the archive before anything is written, with the manifest
    or what does not agree with it before any other file is, with a file's content when all are.
    """
    if folder.exists():
        raise UserError(f"{printable(folder)} is there already", key="bundle", remedy="bundle=<new folder>")
    with open_plain(file) as opened:
        _require_small_directory(opened, file)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            unfinished = Path(scratch, "bundle")
            unfinished.mkdir()
            _unpack(opened, file, unfinished)
            sealing.verify(unfinished)
            if signers is not None:
                signer(Bundle(unfinished), signers)
            unfinished.rename(folder)
    return Bundle(folder)


def folder_of(bundle: Path, scratch: Path) -> Path:
    """The folder of a bundle that is a folder, or an archive, which is unpacked into the folder `scratch`;
    errors as those of `unpack`."""
    return unpack(bundle, scratch / "unpacked").root if bundle.is_file() else bundle


def _unpack(opened: IO[bytes], file: Path, folder: Path) -> None:
    try:
        with ZipFile(opened) as archive:
            _write_all(archive, folder, os.fstat(opened.fileno()).st_size)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error) as error:
        raise _broken(file, f"is no archive of a bundle: {printable(error)}") from None


def _signature(bundle: Bundle) -> list[str]:
    return [SIGNATURE] if bundle.signature.exists() else []


def _add(archive: ZipFile, path: Path, name: str) -> None:
    with open_plain(path) as source:
        entry = ZipInfo(name, WHEN)
        entry.create_system = 3  # Unix, wherever it is packed
        entry.external_attr = MODE << 16
        entry.file_size = os.fstat(source.fileno()).st_size
        with archive.open(entry, "w") as written:
            shutil.copyfileobj(source, written)


def _require_small_directory(opened: IO[bytes], file: Path) -> None:
    """UserError where the end of the file is not that of a zip as `pack` makes it, or tells of a directory
    that is too large."""
    size = os.fstat(opened.fileno()).st_size
    opened.seek(max(size - END64.size - LOCATOR_BYTES - END.size, 0))
    tail = opened.read()
    last, before = tail[-END.size :], tail[: END64.size]
    if len(last) < END.size or not last.startswith(b"PK\5\6"):
        raise _broken(file, "is no archive of a bundle")
    directory = END.unpack(last)[5]
    if tail[END64.size :].startswith(b"PK\6\7"):
        directory = max(directory, END64.unpack(before)[8])
    if directory > MAX_DIRECTORY:
        raise _broken(file, f"has a directory of more than {MAX_DIRECTORY} bytes")


def _write_all(archive: ZipFile, folder: Path, size: int) -> None:
    """Write the manifest, then the files that it lists, of an archive of `size` bytes."""
    entries = {entry.orig_filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError("two entries have one name")
    for name, entry in entries.items():
        _require_stored(name, entry)
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ValueError("its entries share bytes")
    if MANIFEST not in entries:
        raise ValueError(f"{MANIFEST} is missing")
    _write(archive, entries.pop(MANIFEST), folder)
    listed = sealing.manifest(folder).files
    _require_all(listed, set(entries) - {SIGNATURE})
    for name, entry in entries.items():
        if name in listed and entry.file_size != listed[name].bytes:
            sizes = f"it has {entry.file_size} bytes, not {listed[name].bytes}"
            raise ValueError(f"{printable(name)} is not as it was sealed: {sizes}")
    for entry in entries.values():
        _write(archive, entry, folder)


def _require_stored(name: str, entry: ZipInfo) -> None:
    """ValueError for an entry that is not as `pack` makes them."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{printable(name)} is compressed")
    if entry.flag_bits & 1:
        raise ValueError(f"{printable(name)} is encrypted")
    if entry.external_attr >> 16 != MODE:
        raise ValueError(f"{printable(name)} is not a plain file")


def _require_all(listed: Iterable[str], found: set[str]) -> None:
    for name in sorted(found - set(listed)):
        raise ValueError(f"{printable(name)} is not part of the bundle")
    for name in sorted(set(listed) - found):
        raise ValueError(f"{printable(name)} is missing")


def _write(archive: ZipFile, entry: ZipInfo, folder: Path) -> None:
    """Write one entry, whose name the manifest has vouched for."""
    path = folder / entry.orig_filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("xb") as written:
        shutil.copyfileobj(source, written)


def _broken(file: Path, problem: str) -> UserError:
    return UserError(f"{problem}: it is not unpacked", key=printable(file), remedy=REMEDY)
