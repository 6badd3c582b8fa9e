"""The form that every dataset is brought into: labeled images in memory, split into training and test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlas.files.keyed import Keyed

BYTE_VALUES = np.arange(256, dtype=np.float64) / 255

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel, of images scaled to 0..1."""


@dataclass(frozen=True, eq=False)
class ImageDataset(Keyed):
    """A dataset: images are uint8 NCHW, labels int64 from 0 to classes - 1."""

    name: str
    classes: int
    mean: tuple[float, ...]
    """Mean per channel of images scaled to 0..1: the training images' own, or the one that networks for this
    set expect."""
    std: tuple[float, ...]
    mirrorable: bool
    """Whether an image and its mirror image are of the same class."""
    train_images: Images
    """Training images; none at all, (0,C,H,W), where the set is for evaluation only."""
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    fingerprint: str
    """The sha256 (hex) of all images and labels with their shapes."""
    calibration_pool: Images | None = None
    """Unlabeled images that stand in for training images where quantization is calibrated."""

    @property
    def digest(self) -> str:
        """The sha256 (hex) of everything but the name."""
        told = [self.fingerprint, self.classes, self.mean, self.std, self.mirrorable]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    def normalized(self, images: Images) -> npt.NDArray[np.float32]:
        """(images / 255 - mean) / std, float32 NCHW: what a model takes."""
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        std = np.asarray(self.std, np.float32)[:, None, None]
        scaled = images.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray((scaled - mean) / std)


def from_arrays(
    name: str,
    classes: int,
    train: tuple[Images, Labels],
    test: tuple[Images, Labels],
    *,
    mirrorable: bool,
    statistics: Statistics | None = None,
    calibration_pool: Images | None = None,
) -> ImageDataset:
    """A dataset of (images, labels) pairs; mean and std are `statistics`, or the training images' own."""
    mean, std = channel_statistics(train[0]) if statistics is None else statistics
    others = () if calibration_pool is None else (calibration_pool,)
    return ImageDataset(
        name=name,
        classes=classes,
        mean=mean,
        std=std,
        mirrorable=mirrorable,
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        fingerprint=fingerprint(*train, *test, *others),
        calibration_pool=calibration_pool,
    )


def channel_statistics(images: Images) -> Statistics:
    """Mean and standard deviation per channel of uint8 NCHW images scaled to 0..1.

    Taken over the histogram of the 256 byte values, so that a large set needs no copy in floating point.
    """
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].ravel(), minlength=256)
        mean = float(np.average(BYTE_VALUES, weights=counts))
        means.append(mean)
        deviations.append(float(np.sqrt(np.average((BYTE_VALUES - mean) ** 2, weights=counts))))
    return tuple(means), tuple(deviations)


def fingerprint(*arrays: npt.NDArray[np.generic]) -> str:
    """The sha256 (hex) of the arrays' types, shapes and bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
