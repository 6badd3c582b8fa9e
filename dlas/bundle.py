"""The folder that a point leaves behind: plain files, and a manifest that holds the sha256 of each.

    bundle = Bundle(folder)                  where each part lies: bundle.library, bundle.timing, …
    seal(folder, point=…, stages=…)          when all is written: the manifest, last and in one step
    verify(folder) -> Bundle                 before anything is read: UserError names the file that changed

Nothing in a bundle is a pickle, and verifying opens no path that the manifest names: what lies in the folder
is compared with what the manifest lists.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dlas import __version__
from dlas.errors import UserError

SCHEMA = 1
MANIFEST = "manifest.json"
REMEDY = "Fetch the bundle again; a bundle is never mended by hand."


@dataclass(frozen=True)
class Bundle:
    """Where the parts of a bundle lie."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def config(self) -> Path:
        """The resolved stack."""
        return self.root / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What was typed, one override a line."""
        return self.root / "overrides.txt"

    @property
    def model(self) -> Path:
        """Folder of the lowered program and its weights."""
        return self.root / "model"

    @property
    def tuning(self) -> Path:
        """Folder of the tuner's own log."""
        return self.root / "tuning"

    @property
    def library(self) -> Path:
        return self.root / "library" / "model.so"

    def library_of(self, batch: int) -> Path:
        """The library for runs of `batch` images."""
        return self.library if batch == 1 else self.library.with_name(f"model-b{batch}.so")

    def program_of(self, batch: int) -> Path:
        """Folder of the program lowered for a batch larger than 1; its weights lie in `model`."""
        return self.model / f"batch{batch}"

    @property
    def yardstick(self) -> Path:
        """The library of the network that is always the same, where the timing used it."""
        return self.root / "library" / "yardstick.so"

    @property
    def target(self) -> Path:
        return self.root / "library" / "target.json"

    @property
    def reference(self) -> Path:
        """Folder of inputs and expected outputs."""
        return self.root / "reference"

    @property
    def timing(self) -> Path:
        return self.root / "timing.json"

    @property
    def layers(self) -> Path:
        """The per-layer table."""
        return self.root / "layers.csv"

    @property
    def environment(self) -> Path:
        return self.root / "environment.json"

    def make_folders(self) -> None:
        """Every folder that a bundle has."""
        for folder in (self.model, self.tuning, self.library.parent, self.reference):
            folder.mkdir(parents=True, exist_ok=True)


def seal(root: Path, *, point: str, stages: Mapping[str, str]) -> Bundle:
    """Write the manifest of everything that lies in `root`. Until then `root` is no bundle.

    `point` is the identity of the point, `stages` the key of each stage result that went into it.
    """
    document = {
        "schema": SCHEMA,
        "made_by": {"dlas": __version__},
        "point": point,
        "stages": dict(stages),
        "files": {name: _fingerprint(root / name) for name in _files(root) if name != MANIFEST},
    }
    unfinished = root / f"{MANIFEST}.unfinished"
    unfinished.write_bytes(_manifest(document))
    unfinished.replace(root / MANIFEST)
    return Bundle(root)


def verify(root: Path) -> Bundle:
    """The bundle in `root`, every file of it as it was sealed.

    Raises UserError, naming the file, for one that is changed, missing, added or no plain file, and for a
    manifest that is changed or that this version can't read.
    """
    if not root.is_dir():
        raise UserError(
            f"there is no bundle at {root}", key="bundle", remedy="Give the folder that holds manifest.json."
        )
    listed = _listed_files(root)
    found = _files(root)
    for name in sorted(set(found) - {MANIFEST} - set(listed)):
        raise _broken(f"{name} is not part of the bundle")
    for name in sorted(set(listed) - set(found)):
        raise _broken(f"{name} is missing")
    for name, sealed in sorted(listed.items()):
        if _fingerprint(root / name) != sealed:
            raise _broken(f"{name} is not as it was sealed")
    return Bundle(root)


def _listed_files(root: Path) -> dict[str, Any]:
    """The files that the manifest lists, each with its fingerprint."""
    try:
        content = (root / MANIFEST).read_bytes()
        document = json.loads(content)
    except FileNotFoundError:
        raise _broken(f"{MANIFEST} is missing") from None
    except (ValueError, OSError) as error:
        raise _broken(f"{MANIFEST} can't be read: {error}") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise _broken(f"{MANIFEST} is not the manifest of a bundle")
    if document["schema"] != SCHEMA:
        raise UserError(
            f"{MANIFEST} has schema {document['schema']!r}, and this version reads {SCHEMA}",
            key="bundle",
            remedy="Use the version of dlas that made it, or a newer one.",
        )
    document.pop("sha256", None)
    if content != _manifest(document) or not isinstance(document.get("files"), dict):
        raise _broken(f"{MANIFEST} is not as it was sealed")
    files: dict[str, Any] = document["files"]
    for name in files:
        if not _stays_inside(name):
            raise _broken(f"{MANIFEST} lists {name!r}, which leads out of the bundle")
    return files


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return plain and path.as_posix() == name and name not in ("", ".", MANIFEST)


def _files(root: Path) -> list[str]:
    """Every file below `root`, by its path from there; UserError for anything but plain files and folders."""
    names = []
    for folder, folders, files in os.walk(root):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            mode = path.lstat().st_mode
            name = path.relative_to(root).as_posix()
            if stat.S_ISREG(mode):
                names.append(name)
            elif not stat.S_ISDIR(mode):
                raise _broken(f"{name} is not a plain file")
    return names


def _fingerprint(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def _manifest(document: Mapping[str, Any]) -> bytes:
    """The manifest's file, with the sha256 of its own content: an accident shows, a forger could write it
    anew."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return f"{json.dumps({**document, 'sha256': digest}, indent=1)}\n".encode()


def _broken(problem: str) -> UserError:
    return UserError(f"{problem}: the bundle is not used", key="bundle", remedy=REMEDY)
