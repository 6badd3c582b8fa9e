"""Outputs of a network, and its accuracy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dlas.interfaces.images import ImageDataset

BATCH_SIZE = 64


def logits(model: nn.Module, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The outputs (N,classes) for normalized images (N,C,H,W), on the CPU in eval mode, batch by batch."""
    model.eval()
    with torch.inference_mode():
        batches = [model(batch).numpy() for batch in torch.split(torch.from_numpy(images), BATCH_SIZE)]
    return np.concatenate(batches)


def top1(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The fraction of rows whose largest logit is the label's."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def accuracy(model: nn.Module, dataset: ImageDataset) -> float:
    """The top-1 accuracy on the whole test set, as a fraction of 1."""
    batches = range(0, len(dataset.test_labels), BATCH_SIZE)
    answers = [
        logits(model, dataset.normalized(dataset.test_images[start : start + BATCH_SIZE]))
        for start in batches
    ]
    return top1(np.concatenate(answers), dataset.test_labels)
