"""Sealing a bundle, and finding out whether it still is what was sealed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dlas import __version__
from dlas.bundle.layout import MANIFEST, REGISTERED, SIGNATURE, Bundle
from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document
from dlas.files.plain_files import open_plain
from dlas.printable import printable

MAX_FILES = 10_000
"""Largest number of files in a bundle, and of folders; a point leaves some thirty."""

MAX_BYTES = 64 << 30
"""Largest size of all files of a bundle together: the largest networks here leave 3 GB."""

UNSEALED = (MANIFEST, SIGNATURE, REGISTERED)
"""Files that no manifest lists."""

REMEDY = "Fetch the bundle again; a bundle is never mended by hand."

DOCUMENT = Document("manifest of a bundle", version=2, converters=(dict,))
"""The document of a manifest. Version 1 said the same of a bundle whose files name implementations by the
paths of their modules."""


@dataclass(frozen=True)
class Fingerprint:
    """Size and sha256 of a file as it was sealed."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The values of a manifest."""

    made_by: Mapping[str, str]
    point: str
    stages: Mapping[str, str]
    files: Mapping[str, Fingerprint]
    """Fingerprints by the files' paths from the bundle's folder."""


def seal(root: Path, *, point: str, stages: Mapping[str, str]) -> Bundle:
    """Write the manifest of everything that lies in `root`, which only then is a bundle. A signature of an
    earlier manifest is removed.

    `point` is the identity of the point, `stages` the key of each stage result that went into it.
    """
    (root / SIGNATURE).unlink(missing_ok=True)
    sizes = {name: size for name, size in _sizes(root).items() if name not in UNSEALED}
    files = {name: Fingerprint(_sha256(root / name), size) for name, size in sizes.items()}
    made = Manifest({"dlas": __version__}, point, dict(stages), files)
    unfinished = root / f"{MANIFEST}.unfinished"
    unfinished.write_bytes(_written({documents.SCHEMA: DOCUMENT.version, **asdict(made)}))
    unfinished.replace(root / MANIFEST)
    return Bundle(root)


def verify(root: Path) -> Bundle:
    """The bundle in `root`, every file of it as it was sealed.

    Raises UserError, naming the file, for one that is changed, missing, added or no plain file, and for a
    manifest that is changed or that this version can't read. Sizes are compared before anything is read.
    """
    if not root.is_dir():
        raise UserError(
            f"there is no bundle at {printable(root)}",
            key="bundle",
            remedy="Give the folder that holds manifest.json.",
        )
    listed = manifest(root).files
    found = _sizes(root)
    for name in sorted(set(found) - {*UNSEALED} - set(listed)):
        raise _broken(f"{printable(name)} is not part of the bundle")
    for name in sorted(set(listed) - set(found)):
        raise _broken(f"{printable(name)} is missing")
    for name, sealed in sorted(listed.items()):
        if found[name] != sealed.bytes:
            sizes = f"it has {found[name]} bytes, not {sealed.bytes}"
            raise _broken(f"{printable(name)} is not as it was sealed: {sizes}")
    for name, sealed in sorted(listed.items()):
        if _sha256(root / name) != sealed.sha256:
            raise _broken(f"{printable(name)} is not as it was sealed")
    return Bundle(root)


def manifest(root: Path) -> Manifest:
    """The manifest in `root`, its own bytes and the names in it checked."""
    path = root / MANIFEST
    try:
        content = documents.content(DOCUMENT, path)
        values = documents.parse(DOCUMENT, content, MANIFEST)
        values.pop("sha256", None)
        said = documents.checked(Manifest, values, DOCUMENT, MANIFEST)
    except UserError as error:
        raise _broken(f"{MANIFEST} {error.problem}", error.remedy or REMEDY) from None
    if content != _written(json.loads(content)):
        raise _broken(f"{MANIFEST} is not as it was sealed")
    if len(said.files) > MAX_FILES:
        raise _broken(f"{MANIFEST} lists more than {MAX_FILES} files")
    for name in said.files:
        if not _stays_inside(name):
            raise _broken(f"{MANIFEST} lists {printable(name)!r}, which leads out of the bundle")
    return said


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return plain and path.as_posix() == name and name not in ("", ".", *UNSEALED)


def _sizes(root: Path) -> dict[str, int]:
    """The bytes of every file below `root`, by its path from there; nothing is opened. UserError for anything
    but plain files and folders, and for more of them than any bundle has."""
    sizes: dict[str, int] = {}
    for number, (folder, folders, files) in enumerate(os.walk(root), 1):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            name = path.relative_to(root).as_posix()
            try:
                status = path.lstat()
            except OSError as error:
                raise _broken(f"{printable(name)} can't be looked at: {error.strerror}") from None
            if stat.S_ISREG(status.st_mode):
                sizes[name] = status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                raise _broken(f"{printable(name)} is not a plain file")
        if max(len(sizes), number) > MAX_FILES:
            raise _broken(f"there are more than {MAX_FILES} files or folders in it")
    if sum(sizes.values()) > MAX_BYTES:
        raise _broken(f"its files have {sum(sizes.values())} bytes, and {MAX_BYTES} are the most")
    return sizes


def _sha256(path: Path) -> str:
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(document: Mapping[str, Any]) -> bytes:
    """The manifest's file, of any version, with the sha256 of its own content: an accident shows, a forger
    could write it anew."""
    said = {name: value for name, value in document.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return f"{json.dumps({**said, 'sha256': digest}, indent=1)}\n".encode()


def _broken(problem: str, remedy: str = REMEDY) -> UserError:
    return UserError(f"{problem}: the bundle is not used", key="bundle", remedy=remedy)
