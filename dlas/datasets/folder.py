"""Images of a user's own: a folder with one folder of images for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlas import config
from dlas.datasets.dataset import from_arrays
from dlas.datasets.shared.class_folders import ClassFolders, class_count, class_folders
from dlas.datasets.shared.image_files import Framing, read_images
from dlas.datasets.shared.memory import require_memory
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset

PARTS = {"train", "val", "valid", "validation", "test"}


@dataclass(frozen=True)
class Settings(config.Dataset):
    """Settings of a folder of images; the shorter side of each becomes `size` pixels, and its middle `size` x
    `size` are taken."""

    size: int = 32
    test_fraction: float = 0.2
    split_seed: int = 0
    mirrorable: bool = True
    """Whether an image and its mirror image are of the same class: not so for letters or traffic signs."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def classes(self) -> int | None:
        return class_count(self.root)

    def __post_init__(self) -> None:
        size, fraction, seed = self.size, self.test_fraction, self.split_seed
        config.require(8 <= size <= 1024, "dataset.size", f"{size} is out of range", "8 to 1024")
        inside = 0 < fraction < 1
        config.require(inside, "dataset.test_fraction", f"{fraction} is out of range", "between 0 and 1")
        known = 0 <= seed < 2**32
        config.require(known, "dataset.split_seed", f"{seed} is out of range", "0 to 4294967295")


def load(settings: Settings) -> ImageDataset:
    """The images; labels are places in the sorted names of the class folders. The split depends on the sorted
    paths and on `split_seed` alone, and gives every class its share in both parts.

    UserError where there are fewer than two classes, too few images to split, or a broken one.
    """
    from sklearn.model_selection import train_test_split

    if settings.root is None:
        raise UserError(
            "no folder is given", key="dataset.root", remedy="the folder that holds the class folders"
        )
    found = class_folders(Path(settings.root).expanduser())
    _require_splittable(found, settings)
    framing = Framing(settings.size, settings.size)
    require_memory(len(found.files), framing.shape, 2, "fewer images, or a smaller dataset.size")
    train, test = train_test_split(
        np.arange(len(found.labels)),
        test_size=settings.test_fraction,
        random_state=settings.split_seed,
        stratify=found.labels,
    )
    images = read_images(found.files, framing)
    return from_arrays(
        settings.name,
        len(found.classes),
        (images[train], found.labels[train]),
        (images[test], found.labels[test]),
        mirrorable=settings.mirrorable,
    )


def _require_splittable(found: ClassFolders, settings: Settings) -> None:
    if PARTS.issuperset(found.classes):
        raise UserError(
            f"the folders {', '.join(found.classes)} are parts of a set, not classes",
            key="dataset.root",
            remedy="one part's folder; dataset=imagenet reads train/ and val/ as they are",
        )
    classes, images = len(found.classes), len(found.files)
    if classes < 2:
        raise UserError(
            f"there is only the class folder {found.classes[0]}", key="dataset.root", remedy="two or more"
        )
    sizes = np.bincount(found.labels)
    if sizes.min() < 2:
        lonely = found.classes[int(sizes.argmin())]
        raise UserError(
            f"the class folder {lonely} has a single image", key="dataset.root", remedy="two or more in each"
        )
    test = int(np.ceil(settings.test_fraction * images))
    if not classes <= test <= images - classes:
        raise UserError(
            f"{settings.test_fraction} of {images} images is {test}, too few or too many for {classes} "
            "classes to be in both parts",
            key="dataset.test_fraction",
            remedy=f"a fraction that leaves {classes} or more images to each part, or more images",
        )
