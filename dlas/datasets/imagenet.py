"""ImageNet (Russakovsky et al., arXiv:1409.0575), or any set of photographs laid out like it.

    <root>/train/<class>/*   optional: without it the set is for evaluation only
    <root>/val/<class>/*

Every image is framed as in the usual evaluation of ImageNet networks: the shorter side becomes 256 pixels,
and the middle 224 x 224 are taken. Unlike there, an image is first turned as its EXIF orientation says, which
few have. An image takes 150 kB of memory, and four times as much once it is normalized, so only `train_limit`
and `test_limit` images are read, each class with its share.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.datasets.shared.class_folders import ClassFolders, class_count, class_folders
from dlas.datasets.shared.image_files import Framing, read_images
from dlas.datasets.shared.memory import require_memory
from dlas.datasets.shared.sampling import stratified
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset

FRAMING = Framing(shorter_side=256, crop=224)
STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation per channel that ImageNet networks are usually trained with."""
CHOICE_SEED = 0


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of ImageNet: its folder, and how many images of either part to read (null for all)."""

    train_limit: int | None = 1000
    test_limit: int | None = 1000

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return FRAMING.shape

    @property
    def classes(self) -> int | None:
        return None if self.root is None else class_count(f"{self.root}/val")

    def __post_init__(self) -> None:
        for name, limit in (("train_limit", self.train_limit), ("test_limit", self.test_limit)):
            enough = limit is None or limit >= 1
            config.require(
                enough, f"dataset.{name}", f"{limit} is too small", "1 or more, or null for every image"
            )


def load(settings: Settings) -> ImageDataset:
    """The images; labels are places in the sorted names of the class folders, as in torchvision's
    ImageFolder. UserError where a folder is missing, the two parts have different classes, or an image is
    broken."""
    if settings.root is None:
        raise UserError(
            "no folder is given", key="dataset.root", remedy="the folder that holds train/ and val/"
        )
    root = Path(settings.root).expanduser()
    test_files = class_folders(root / "val")
    test_chosen = _chosen(test_files, settings.test_limit)
    train_files, train_chosen = test_files, test_chosen[:0]
    if os.path.lexists(root / "train"):
        train_files = class_folders(root / "train")
        _require_same_classes(train_files, test_files)
        train_chosen = _chosen(train_files, settings.train_limit)
    remedy = "a smaller dataset.train_limit or dataset.test_limit"
    require_memory(len(train_chosen) + len(test_chosen), FRAMING.shape, 1, remedy)
    files = [train_files.files[index] for index in train_chosen]
    images = read_images([*files, *(test_files.files[index] for index in test_chosen)], FRAMING)
    train = images[: len(files)], train_files.labels[train_chosen]
    test = images[len(files) :], test_files.labels[test_chosen]
    classes = len(test_files.classes)
    return from_arrays(settings.name, classes, train, test, mirrorable=True, statistics=STATISTICS)


def _chosen(found: ClassFolders, limit: int | None) -> npt.NDArray[np.int64]:
    """The places of those that are read."""
    return stratified(found.labels, len(found.files) if limit is None else limit, CHOICE_SEED)


def _require_same_classes(train: ClassFolders, test: ClassFolders) -> None:
    different = sorted(set(train.classes) ^ set(test.classes))
    if different:
        raise UserError(
            f"{len(different)} class folders are in only one of train/ and val/, such as {different[0]}",
            key="dataset.root",
            remedy="the same class folders in both",
        )
