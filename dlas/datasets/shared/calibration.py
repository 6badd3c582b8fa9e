"""Images to calibrate quantization with: never a test image."""

from __future__ import annotations

import logging

import numpy as np

from dlas.datasets.shared.sampling import stratified
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset, Images

log = logging.getLogger(__name__)


def calibration_images(dataset: ImageDataset, count: int, seed: int) -> Images:
    """`count` images, uint8 NCHW, drawn by `seed`: training images, each class with its share, or of a set
    for evaluation only its `calibration_pool`.

    All there are where they are fewer, which the log says. UserError where there are none.
    """
    pool = dataset.calibration_pool
    images = dataset.train_images if pool is None else pool
    if len(images) == 0:
        raise UserError(
            f"'{dataset.name}' has no images to calibrate with: it has no training images",
            key="dataset.root",
            remedy="give a folder with training images; test images are not taken",
        )
    if len(images) < count:
        log.info("calibration: %d images instead of %d, all that there are", len(images), count)
    labels = dataset.train_labels if pool is None else np.zeros(len(pool), np.int64)
    return images[stratified(labels, count, seed)]
