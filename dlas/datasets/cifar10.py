"""CIFAR-10 from its official Python archive (Krizhevsky, Learning Multiple Layers of Features, 2009)."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dlas.datasets.archive_pickle import read_pickle
from dlas.datasets.dataset import ImageDataset, from_arrays
from dlas.datasets.download import download
from dlas.errors import UserError

if TYPE_CHECKING:
    from dlas import config

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCHES = ("test_batch",)
CLASSES = 10
SHAPE = (3, 32, 32)

Labeled = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def load(config: config.Dataset) -> ImageDataset:
    """The official split: 50,000 training and 10,000 test images.

    `config.root` holds the folder `cifar-10-batches-py` or the archive `cifar-10-python.tar.gz`; where it
    holds neither, the archive is downloaded into it. UserError where that fails, or a file is not what it
    should be.
    """
    if config.root is None:
        raise UserError(
            "no folder is given",
            key="dataset.root",
            remedy=f"give the folder that holds {FOLDER} or {ARCHIVE}, or that the archive shall go to",
        )
    root = Path(config.root).expanduser()
    folder, archive = root / FOLDER, root / ARCHIVE
    if folder.is_dir():
        train, test = _from_folder(folder)
    else:
        if not archive.is_file():
            download(URL, archive, MD5)
        train, test = _from_archive(archive)
    return from_arrays(config.name, CLASSES, train, test, mirrorable=True)


def _from_folder(folder: Path) -> tuple[Labeled, Labeled]:
    def content(name: str) -> tuple[str, bytes]:
        path = folder / name
        try:
            return str(path), path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror}",
                key="dataset.root",
                remedy=f"unpack {ARCHIVE} from {URL} again",
            ) from error

    train = _joined([_decoded(*content(name)) for name in TRAIN_BATCHES])
    return train, _joined([_decoded(*content(name)) for name in TEST_BATCHES])


def _from_archive(archive: Path) -> tuple[Labeled, Labeled]:
    """Members are read where they lie: nothing is unpacked, so that no path in the archive can do harm."""
    wanted = {f"{FOLDER}/{name}": name for name in TRAIN_BATCHES + TEST_BATCHES}
    batches: dict[str, Labeled] = {}
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                file = members.extractfile(member) if member.name in wanted and member.isfile() else None
                if file is not None:
                    batches[wanted[member.name]] = _decoded(f"{archive}:{member.name}", file.read())
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UserError(
            f"cannot read {archive}: {error}", key="dataset.root", remedy="delete it to download it again"
        ) from error
    missing = [name for name in TRAIN_BATCHES + TEST_BATCHES if name not in batches]
    if missing:
        raise UserError(
            f"{archive} lacks {', '.join(missing)}",
            key="dataset.root",
            remedy="delete it to download it again",
        )
    train = _joined([batches[name] for name in TRAIN_BATCHES])
    return train, _joined([batches[name] for name in TEST_BATCHES])


def _decoded(where: str, content: bytes) -> Labeled:
    """One batch: rows of 3,072 bytes (red, green and blue planes of 32x32) and their labels."""
    try:
        batch: Any = read_pickle(content)
        images = np.asarray(batch[b"data"])
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
        if images.dtype != np.uint8 or images.shape != (len(labels), int(np.prod(SHAPE))):
            raise ValueError(f"images of {images.dtype} {images.shape} for {len(labels)} labels")
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= CLASSES:
            raise ValueError(f"labels must be 0 to {CLASSES - 1}")
    except (pickle.UnpicklingError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{where} is not a CIFAR-10 batch: {error}",
            key="dataset.root",
            remedy=f"delete it and take it from {URL}",
        ) from error
    return images.reshape(-1, *SHAPE), labels


def _joined(batches: list[Labeled]) -> Labeled:
    return np.concatenate([images for images, _ in batches]), np.concatenate(
        [labels for _, labels in batches]
    )
