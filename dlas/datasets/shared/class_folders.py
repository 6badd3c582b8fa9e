"""Search for image files in folders. Links are followed; nothing that may be an image vanishes in silence."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlas.datasets.shared.refusal import require_none
from dlas.errors import UserError
from dlas.files.there import is_folder
from dlas.interfaces.images import Labels

SUFFIXES = (
    ".bmp",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
UNREAD_SUFFIXES = (".avif", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".jp2", ".jxl", ".tga")
"""Suffixes of images in formats that are not read. Such files are refused, since they are images."""
UNUSABLE = "files or folders cannot be used"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassFolders:
    """The files of a folder of class folders; `labels` are places in `classes`, the sorted folder names."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: Labels


@dataclass
class _Found:
    """What was met in a folder: images, what has to be refused and why, the number of others."""

    images: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: int = 0


def class_folders(root: Path) -> ClassFolders:
    """Every image file below each folder of `root`, in the order of their paths.

    Hidden files and folders are passed over. UserError where there are no class folders; or one for all that
    cannot be used: a folder without images or that cannot be opened, a link to nothing or back to a folder
    above it, an image of a format that is not read.
    """
    layout = "a folder with one folder of images for each class"
    if not is_folder(root):
        raise UserError(f"there is no folder {root} that can be opened", key="dataset.root", remedy=layout)
    top = _Found()
    folders = []
    for path, mode in _entries(root, top):
        if stat.S_ISDIR(mode):
            folders.append(path)
        else:
            _sort_in(path, mode, top)
    if not folders and not top.problems:
        raise UserError(f"{root} has no class folders", key="dataset.root", remedy=layout)
    found = [_below(folder, (root.resolve(),)) for folder in folders]
    problems = [*top.problems, *(problem for one in found for problem in one.problems)]
    for folder, one in zip(folders, found, strict=True):
        if not one.images and not one.problems:
            problems.append(f"the class folder {folder} has no images ({', '.join(SUFFIXES)})")
    require_none(problems, UNUSABLE, "dataset.root")
    if top.images:
        log.info("%s: %d images that are in no class folder are passed over", root, len(top.images))
    for folder, one in zip(folders, found, strict=True):
        _tell_others(folder, one)
    labels = np.repeat(np.arange(len(folders), dtype=np.int64), [len(one.images) for one in found])
    names = tuple(folder.name for folder in folders)
    return ClassFolders(names, tuple(image for one in found for image in one.images), labels)


def class_count(root: str | None) -> int | None:
    """Number of class folders, without looking into them; None where there is no folder `root`, or one that
    `class_folders` refuses."""
    folder = None if root is None else Path(root).expanduser()
    if folder is None or not is_folder(folder):
        return None
    found = _Found()
    classes = sum(stat.S_ISDIR(mode) for _, mode in _entries(folder, found))
    return None if found.problems else classes


def image_files(folder: Path, key: str) -> list[Path]:
    """The image files in and below `folder`, sorted; the log says how many others were passed over.

    UserError, under `key`, for what `class_folders` refuses.
    """
    found = _below(folder, ())
    require_none(found.problems, UNUSABLE, key)
    _tell_others(folder, found)
    return found.images


def _tell_others(folder: Path, found: _Found) -> None:
    if found.others:
        log.info("%s: %d files that are no images are passed over", folder, found.others)


def _below(folder: Path, above: tuple[Path, ...]) -> _Found:
    found = _Found()
    _search(folder, above, found)
    found.images.sort()
    return found


def _search(folder: Path, above: tuple[Path, ...], found: _Found) -> None:
    """Add what is in and below `folder`, which was reached through the folders `above`, links resolved."""
    real = folder.resolve()
    if any(one.is_relative_to(real) for one in above):
        found.problems.append(f"{folder} (a link back to a folder above it)")
        return
    for path, mode in _entries(folder, found):
        if stat.S_ISDIR(mode):
            _search(path, (*above, real), found)
        else:
            _sort_in(path, mode, found)


def _entries(folder: Path, found: _Found) -> Iterator[tuple[Path, int]]:
    """The entries of a folder that are not hidden, by name, with the mode of what they are or link to."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        found.problems.append(f"{folder} ({error.strerror})")
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        try:
            yield path, path.stat().st_mode
        except OSError as error:
            kind = f"a link to {path.readlink()}: " if path.is_symlink() else ""
            found.problems.append(f"{path} ({kind}{error.strerror})")


def _sort_in(path: Path, mode: int, found: _Found) -> None:
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        found.problems.append(f"{path} ({suffix} is not read: save it as PNG)")
    elif suffix not in SUFFIXES:
        found.others += 1
    elif stat.S_ISREG(mode):
        found.images.append(path)
    else:
        found.problems.append(f"{path} (it is no regular file)")
