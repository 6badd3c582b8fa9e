"""Making of a dataset from arrays of images and labels."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from dlas.interfaces.images import ImageDataset, Images, Labels, Statistics

BYTE_VALUES = np.arange(256, dtype=np.float64) / 255


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
