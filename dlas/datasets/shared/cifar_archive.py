"""The official Python archives of CIFAR-10 and CIFAR-100 (Krizhevsky, Learning Multiple Layers of Features
from Tiny Images, 2009)."""

from __future__ import annotations

import math
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.datasets.shared.archive_pickle import read_pickle
from dlas.datasets.shared.download import download
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset, Images, Labels

SIZE = 32
SHAPE = (3, SIZE, SIZE)

Labeled = tuple[Images, Labels]


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of CIFAR; `root` holds the archive or the folder in it, or neither: then the archive is
    downloaded."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return SHAPE


@dataclass(frozen=True)
class CifarArchive:
    """One of the two archives: the names and numbers in which they differ."""

    title: str
    url: str
    md5: str
    file: str
    folder: str
    """Folder in the archive, which keeps its name where the archive was unpacked."""
    train_batches: tuple[str, ...]
    test_batches: tuple[str, ...]
    labels: bytes
    """Name under which a batch keeps its labels."""
    classes: int

    @property
    def batches(self) -> tuple[str, ...]:
        """Names of all files in the folder that are read."""
        return self.train_batches + self.test_batches


def load_archive(archive: CifarArchive, settings: config.Dataset) -> ImageDataset:
    """The official split: 50,000 training and 10,000 test images.

    UserError where the download fails, or a file is not what it should be.
    """
    if settings.root is None:
        raise UserError(
            "no folder is given",
            key="dataset.root",
            remedy=f"give the folder that holds {archive.folder} or {archive.file}, or is to hold it",
        )
    root = Path(settings.root).expanduser()
    folder, file = root / archive.folder, root / archive.file
    if folder.is_dir():
        batches = _from_folder(archive, folder)
    else:
        if not file.is_file():
            download(archive.url, file, archive.md5)
        batches = _from_file(archive, file)
    train = _joined([batches[name] for name in archive.train_batches])
    test = _joined([batches[name] for name in archive.test_batches])
    return from_arrays(settings.name, archive.classes, train, test, mirrorable=True)


def _from_folder(archive: CifarArchive, folder: Path) -> dict[str, Labeled]:
    batches = {}
    for name in archive.batches:
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror}",
                key="dataset.root",
                remedy=f"unpack {archive.file} from {archive.url} again",
            ) from error
        batches[name] = _decoded(archive, str(path), content)
    return batches


def _from_file(archive: CifarArchive, path: Path) -> dict[str, Labeled]:
    """The batches of an archive that is not unpacked, by name.

    Members are read where they lie: nothing is unpacked, so that no path in the archive can do harm.
    """
    wanted = {f"{archive.folder}/{name}": name for name in archive.batches}
    batches: dict[str, Labeled] = {}
    try:
        with tarfile.open(path, "r|*") as members:
            for member in members:
                file = members.extractfile(member) if member.name in wanted and member.isfile() else None
                if file is not None:
                    content = file.read()
                    batches[wanted[member.name]] = _decoded(archive, f"{path}:{member.name}", content)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UserError(
            f"cannot read {path}: {error}", key="dataset.root", remedy="delete it to download it again"
        ) from error
    missing = [name for name in archive.batches if name not in batches]
    if missing:
        raise UserError(
            f"{path} lacks {', '.join(missing)}",
            key="dataset.root",
            remedy="delete it to download it again",
        )
    return batches


def _decoded(archive: CifarArchive, where: str, content: bytes) -> Labeled:
    """One batch: rows of 3,072 bytes (red, green and blue planes of 32x32) and their labels."""
    try:
        batch: Any = read_pickle(content)
        images = np.asarray(batch[b"data"])
        labels = np.asarray(batch[archive.labels]).astype(np.int64, casting="safe")
        if images.dtype != np.uint8 or labels.ndim != 1 or images.shape != (len(labels), math.prod(SHAPE)):
            raise ValueError(f"images of {images.dtype} {images.shape} for labels {labels.shape}")
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= archive.classes:
            raise ValueError(f"labels must be 0 to {archive.classes - 1}")
    except (pickle.UnpicklingError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{where} is not a {archive.title} batch: {error}",
            key="dataset.root",
            remedy=f"delete it and take it from {archive.url}",
        ) from error
    return images.reshape(-1, *SHAPE), labels


def _joined(batches: list[Labeled]) -> Labeled:
    return np.concatenate([images for images, _ in batches]), np.concatenate(
        [labels for _, labels in batches]
    )
