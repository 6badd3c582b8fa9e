"""scikit-learn's 1,797 handwritten digits, grey 8x8, enlarged to 3x32x32: the dataset that needs no download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.interfaces.images import ImageDataset

SIZE = 32
CLASSES = 10
BRIGHTEST = 16
TEST_FRACTION = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of the digits: none of their own."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, SIZE, SIZE)

    @property
    def classes(self) -> int:
        return CLASSES


def load(settings: config.Dataset) -> ImageDataset:
    """1,437 training and 360 test images; the split is always the same, and even over the classes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = enlarged(digits.images)
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_FRACTION, random_state=SPLIT_SEED, stratify=labels
    )
    return from_arrays(
        settings.name,
        CLASSES,
        (images[train], labels[train]),
        (images[test], labels[test]),
        mirrorable=False,
    )


def enlarged(images: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Images N,8,8 of 0..16 as uint8 N,3,32,32 of 0..255, interpolated bilinearly, all channels the same."""
    weights = _bilinear(images.shape[1], SIZE)
    grey = np.rint(weights @ images @ weights.T * (255 / BRIGHTEST)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey[:, None], (len(grey), 3, SIZE, SIZE)))


def _bilinear(size: int, enlarged_size: int) -> npt.NDArray[np.float64]:
    """The matrix that interpolates between pixel centers; beyond the outermost it repeats the edge."""
    centers = (np.arange(enlarged_size) + 0.5) * size / enlarged_size - 0.5
    distance = np.abs(np.clip(centers, 0, size - 1)[:, None] - np.arange(size))
    return np.maximum(0.0, 1.0 - distance)
