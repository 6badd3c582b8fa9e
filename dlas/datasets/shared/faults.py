"""What is wrong with a loaded dataset: a module of a user's own may give anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dlas import config
    from dlas.interfaces.images import ImageDataset


def faults_of(found: ImageDataset, settings: config.Dataset) -> list[str]:
    """What `ImageDataset` and the settings promise and is not so, each in a few words."""
    parts = ((found.train_images, found.train_labels), (found.test_images, found.test_labels))
    pools = [images for images, _ in parts]
    if found.calibration_pool is not None:
        pools.append(found.calibration_pool)
    for images in pools:
        if images.dtype != np.uint8 or images.ndim != 4:
            return [f"images are uint8 NCHW, not {images.dtype} {images.shape}"]
    channels, *size = found.image_shape
    faults = []
    if any(images.shape[1:] != found.image_shape for images in pools):
        faults.append("all images have one shape")
    for images, labels in parts:
        if labels.dtype != np.int64:
            faults.append(f"labels are int64, not {labels.dtype}")
        if labels.shape != images.shape[:1]:
            faults.append(f"there is a label for each image, not {labels.shape} for {len(images)}")
        if not np.isin(labels, np.arange(found.classes)).all():
            faults.append(f"labels are 0 to {found.classes - 1}, not {labels.min()} to {labels.max()}")
    if len(found.test_images) == 0:
        faults.append("accuracies are of test images, and there are none")
    if not len(found.mean) == len(found.std) == channels:
        faults.append(f"mean and std are of {channels} channels, not {len(found.mean)} and {len(found.std)}")
    if settings.classes not in (None, found.classes):
        faults.append(f"the settings promise {settings.classes} classes, not {found.classes}")
    if settings.image_size is not None and size != [settings.image_size] * 2:
        faults.append(f"the settings promise images of {settings.image_size} pixels, not {size}")
    return faults
