"""Random variations of training images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SHIFT = 2
"""Largest shift in pixels: at 32x32 a digit keeps its margin and a photograph its object."""


def augmented(
    images: npt.NDArray[np.uint8], mirrorable: bool, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Each of the NCHW images shifted by up to MAX_SHIFT pixels each way over black and, where
    `mirrorable`, mirrored left to right with probability one half."""
    height, width = images.shape[2:]
    margin = ((0, 0), (0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT))
    padded = np.pad(images, margin)
    varied = np.empty_like(images)
    offsets = random.integers(0, 2 * MAX_SHIFT + 1, (len(images), 2))
    mirrored = random.random(len(images)) < 0.5 if mirrorable else np.zeros(len(images), bool)
    for index, (top, left) in enumerate(offsets):
        shifted = padded[index, :, top : top + height, left : left + width]
        varied[index] = shifted[:, :, ::-1] if mirrored[index] else shifted
    return varied
