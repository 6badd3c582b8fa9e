"""Fashion-MNIST (Xiao et al., arXiv:1708.07747): 70,000 grey 28x28 pictures of ten kinds of clothes."""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.datasets.shared.download import download
from dlas.datasets.shared.sampling import stratified
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset, Images, Labels

URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
CLASSES = 10
SMALL, SIZE = 28, 32
CHOICE_SEED = 0
UNSIGNED_BYTES = 8
"""IDX's code for values of type unsigned byte."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of Fashion-MNIST; `root` holds the four .gz files. Where it doesn't, they come from Debian's
    package, or are downloaded."""

    train_limit: int | None = None
    """Number of training images to use, each class with its share; null for all."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, SIZE, SIZE)

    @property
    def classes(self) -> int:
        return CLASSES

    def __post_init__(self) -> None:
        limit = self.train_limit
        enough = limit is None or limit >= 1
        config.require(
            enough, "dataset.train_limit", f"{limit} is too small", "1 or more, or null for every image"
        )


def load(settings: Settings) -> ImageDataset:
    """The official split: 60,000 training images or `train_limit` of them, and 10,000 test images, with a
    border of two black pixels and the same in all three channels. UserError where there are no files, or
    other ones."""
    folder = _folder(settings.root)
    train, test = (_labeled(folder, part) for part in ("train", "t10k"))
    if settings.train_limit is not None:
        images, labels = train
        chosen = stratified(labels, settings.train_limit, CHOICE_SEED)
        train = images[chosen], labels[chosen]
    return from_arrays(settings.name, CLASSES, train, test, mirrorable=True)


def read_idx(path: Path, dimensions: int) -> Images:
    """A gzipped IDX file of unsigned bytes: two zeros, the type, the number of dimensions, each dimension as
    a big-endian uint32, then the values (Y. LeCun et al., The MNIST database). UserError for another one."""
    try:
        content = gzip.decompress(path.read_bytes())
        start = 4 + 4 * dimensions
        if len(content) < start or tuple(content[:4]) != (0, 0, UNSIGNED_BYTES, dimensions):
            raise ValueError(f"it does not start as {dimensions} dimensions of unsigned bytes do")
        shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
        values = np.frombuffer(content[start:], np.uint8)
        if len(values) != math.prod(shape):
            raise ValueError(f"it holds {len(values)} values instead of {math.prod(shape)}")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"{path} is no IDX file: {error}",
            key="dataset.root",
            remedy=f"delete it and take it from {URL}/{path.name}",
        ) from error
    return values.reshape(shape)


def _folder(root: str | None) -> Path:
    given = None if root is None else Path(root).expanduser()
    for folder in (given, DEBIAN_FOLDER):
        if folder is not None and all((folder / name).is_file() for name in MD5):
            log.info("fashion_mnist: read from %s", folder)
            return folder
    if given is None:
        raise UserError(
            "no folder is given",
            key="dataset.root",
            remedy=f"give the folder that holds {', '.join(MD5)} or is to hold them, or install the "
            f"Debian package {DEBIAN_PACKAGE}",
        )
    for name, md5 in MD5.items():
        if not (given / name).is_file():
            download(f"{URL}/{name}", given / name, md5, f"install the Debian package {DEBIAN_PACKAGE}")
    return given


def _labeled(folder: Path, part: str) -> tuple[Images, Labels]:
    path = folder / f"{part}-images-idx3-ubyte.gz"
    images = read_idx(path, 3)
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 1).astype(np.int64)
    if images.shape != (len(labels), SMALL, SMALL) or len(labels) == 0 or labels.max() >= CLASSES:
        raise UserError(
            f"{path} and its labels are not Fashion-MNIST's: images {images.shape} for {len(labels)} labels",
            key="dataset.root",
            remedy=f"delete them and take them from {URL}",
        )
    border = (SIZE - SMALL) // 2
    padded = np.pad(images, ((0, 0), (border, border), (border, border)))
    return np.ascontiguousarray(np.broadcast_to(padded[:, None], (len(labels), 3, SIZE, SIZE))), labels
