"""CIFAR-10: photographs of ten kinds of things."""

from __future__ import annotations

from dataclasses import dataclass

from dlas import config
from dlas.datasets.shared import cifar_archive
from dlas.datasets.shared.cifar_archive import CifarArchive
from dlas.interfaces.images import ImageDataset

ARCHIVE = CifarArchive(
    title="CIFAR-10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    file="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train_batches=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test_batches=("test_batch",),
    labels=b"labels",
    classes=10,
)


@dataclass(frozen=True)
class Settings(cifar_archive.Settings):
    """Settings of CIFAR-10: those of both CIFAR archives."""

    @property
    def classes(self) -> int:
        return ARCHIVE.classes


def load(settings: config.Dataset) -> ImageDataset:
    """The official split of CIFAR-10, as `cifar_archive.load_archive` reads it."""
    return cifar_archive.load_archive(ARCHIVE, settings)
