"""The description beside the files of a stored result: what went into it, and how to tell that it is whole.

`entry.json` has the inputs that its key is the hash of, and the size and sha256 of every other file. Its time
of modification is that of the last use.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlas.errors import UserError
from dlas.stages.store.key import key_of

ENTRY = "entry.json"
VERSION = 1

Inputs = Mapping[str, Any]
"""The inputs that `key.inputs_of` gives."""


class Damaged(ValueError):
    """Tells what of a stored result is not as it was stored."""


class Newer(UserError):
    """Tells of a stored result that a later version of dlas wrote: it may be whole, and stays where it is."""


@dataclass(frozen=True)
class Entry:
    """The values of `entry.json`."""

    stage: str
    inputs: Inputs
    files: Mapping[str, Mapping[str, Any]]
    """Path from the folder to the file's `bytes` and `sha256`."""
    created: str
    """Time at which the result was stored: UTC, ISO 8601."""


def write(folder: Path, stage: str, inputs: Inputs) -> None:
    """Seal the files in `folder` as a result of the stage."""
    document = {
        "version": VERSION,
        "stage": stage,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": inputs,
        "files": {name: _fingerprint(folder / name) for name in _files(folder)},
    }
    (folder / ENTRY).write_text(json.dumps(document, indent=1) + "\n")


def read(folder: Path) -> Entry:
    """The description of the result in `folder`; `Damaged` where it is missing or makes no sense, `Newer`
    where a later version wrote it."""
    try:
        document = json.loads((folder / ENTRY).read_bytes())
        version = document["version"]
        if version != VERSION:
            if isinstance(version, int) and version > VERSION:
                raise _newer(folder, version)
            raise Damaged(f"{ENTRY} has version {version!r}, and this one reads {VERSION}")
        found = Entry(document["stage"], document["inputs"], document["files"], document["created"])
        if key_of(found.inputs) != folder.name:
            raise Damaged(f"the inputs in {ENTRY} are not those of its key")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise error if isinstance(error, Damaged) else Damaged(f"{ENTRY} cannot be read: {error!r}") from None
    return found


def damage(folder: Path) -> str:
    """The damage to the result in `folder`, for a person; "" where it is whole, `Newer` where this version
    can't tell."""
    try:
        sealed = read(folder).files
        found = _files(folder)
        for name in sorted(set(found) ^ set(sealed)):
            raise Damaged(f"{name} is missing" if name in sealed else f"{name} was added")
        for name, fingerprint in sealed.items():
            if _fingerprint(folder / name) != fingerprint:
                raise Damaged(f"{name} is not as it was stored")
    except (Damaged, OSError) as error:
        return str(error)
    return ""


def _newer(folder: Path, version: int) -> Newer:
    return Newer(
        f"a later version of dlas stored this: its {ENTRY} has version {version}, this one reads {VERSION}",
        key=str(folder),
        remedy="use that version here, or another folder by artifacts=",
    )


def touch(folder: Path) -> None:
    """Note that the result in `folder` is used now."""
    os.utime(folder / ENTRY)


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != ENTRY)


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
