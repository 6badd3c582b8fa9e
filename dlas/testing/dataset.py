"""Conformance suite of datasets."""

from __future__ import annotations

import numpy as np

from dlas import config
from dlas.interfaces.dataset import Dataset
from dlas.plugins import contracts


def check_dataset(module: Dataset, settings: config.Dataset) -> None:
    """Load the images twice. AssertionError where they are others than the settings say, or not the same."""
    lacking = contracts.of_module(module, Dataset)
    assert not lacking, "; ".join(lacking)
    assert isinstance(settings, module.Settings), "settings are its own Settings"
    found = module.load(settings)
    assert module.load(settings).digest == found.digest, "it loads other images the second time"
    for images, labels in (
        (found.train_images, found.train_labels),
        (found.test_images, found.test_labels),
    ):
        assert images.dtype == np.uint8, f"images are uint8 NCHW, not {images.dtype}"
        assert images.shape[1:] == found.image_shape, "all images have one shape"
        assert labels.dtype == np.int64, f"labels are int64, not {labels.dtype}"
        assert labels.shape == images.shape[:1], "there is a label for each image"
        assert np.isin(labels, np.arange(found.classes)).all(), f"labels are 0 to {found.classes - 1}"
    assert len(found.test_images) > 0, "accuracies are of test images"
    channels, *size = found.image_shape
    assert len(found.mean) == len(found.std) == channels, f"mean and std are of {channels} channels"
    assert min(found.std) > 0, "images are divided by std"
    assert settings.classes in (None, found.classes), f"it has {found.classes} classes"
    assert settings.image_size is None or size == [settings.image_size] * 2, f"its images are {size}"
