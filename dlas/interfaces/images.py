"""The form that every dataset is brought into: labeled images in memory, split into training and test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlas.files.keyed import Keyed

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
