"""CIFAR-100 with its fine labels: photographs of a hundred kinds of things."""

from __future__ import annotations

from dataclasses import dataclass

from dlas import config
from dlas.datasets.shared import cifar_archive
from dlas.datasets.shared.cifar_archive import CifarArchive
from dlas.interfaces.images import ImageDataset

ARCHIVE = CifarArchive(
    title="CIFAR-100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    file="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train_batches=("train",),
    test_batches=("test",),
    labels=b"fine_labels",
    classes=100,
)


@dataclass(frozen=True)
class Settings(cifar_archive.Settings):
    """Settings of CIFAR-100: those of both CIFAR archives."""

    @property
    def classes(self) -> int:
        return ARCHIVE.classes


def load(settings: config.Dataset) -> ImageDataset:
    """The official split of CIFAR-100, as `cifar_archive.load_archive` reads it."""
    return cifar_archive.load_archive(ARCHIVE, settings)
