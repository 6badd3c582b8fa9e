"""Photographs in folders, made into arrays of one size."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dlas.datasets.dataset import Images, Labels
from dlas.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
SHOWN_FILES = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Framing:
    """Framing of an image, in pixels: its shorter side becomes `shorter_side`, then its middle `crop` x
    `crop` is taken."""

    shorter_side: int
    crop: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array of one image: channels, height, width."""
        return 3, self.crop, self.crop

    def apply(self, image: Image) -> Image:
        """The framed image, bilinear with antialiasing; sizes and offsets are rounded as torchvision's Resize
        and CenterCrop round them."""
        from PIL.Image import Resampling

        width, height = image.size
        shorter = min(width, height)
        width, height = (self.shorter_side * side // shorter for side in (width, height))
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        resized = image.resize((width, height), Resampling.BILINEAR)
        return resized.crop((left, top, left + self.crop, top + self.crop))


@dataclass(frozen=True)
class ClassFolders:
    """The files of a folder of class folders; `labels` are places in `classes`, the sorted folder names."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: Labels


def class_folders(root: Path) -> ClassFolders:
    """Every image file below each folder of `root`, in the order of their paths.

    Hidden folders are no classes. UserError where there are no class folders, or one without images.
    """
    layout = "a folder with one folder of images for each class"
    if not root.is_dir():
        raise UserError(f"there is no folder {root}", key="dataset.root", remedy=layout)
    folders = _class_folders(root)
    if not folders:
        raise UserError(f"{root} has no class folders", key="dataset.root", remedy=layout)
    found = [image_files(folder) for folder in folders]
    for folder, files in zip(folders, found, strict=True):
        if not files:
            raise UserError(
                f"the class folder {folder} has no images",
                key="dataset.root",
                remedy=f"remove it, or put images into it ({', '.join(SUFFIXES)})",
            )
    labels = np.repeat(np.arange(len(folders), dtype=np.int64), [len(files) for files in found])
    names = tuple(folder.name for folder in folders)
    return ClassFolders(names, tuple(file for files in found for file in files), labels)


def class_count(root: str | None) -> int | None:
    """Number of class folders, without looking into them; None where there is no folder `root`."""
    folder = None if root is None else Path(root).expanduser()
    return len(_class_folders(folder)) if folder is not None and folder.is_dir() else None


def image_files(folder: Path) -> list[Path]:
    """The image files in and below `folder`, sorted; the log says how many others were passed over."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if len(images) < len(files):
        log.info("%s: %d files that are no images are passed over", folder, len(files) - len(images))
    return images


def read_images(files: Sequence[Path], framing: Framing, key: str = "dataset.root") -> Images:
    """The files as uint8 N,3,crop,crop, with a progress bar on stderr.

    A broken image is refused, not skipped: which images are in a set decides its split and every accuracy,
    so the same command must not mean another set for whoever has the whole file. All broken ones are counted
    and some named in one UserError, under `key`.
    """
    images = np.empty((len(files), 3, framing.crop, framing.crop), np.uint8)
    broken: list[str] = []

    def read(index: int) -> None:
        try:
            images[index] = _read(files[index], framing)
        except OSError as error:
            reason = str(error).replace(str(files[index]), "it")
            broken.append(f"{files[index]} ({reason})")

    shown = tqdm(total=len(files), desc="images", unit="image", disable=not files)
    with ThreadPoolExecutor() as threads, shown as progress:
        for _ in threads.map(read, range(len(files))):
            progress.update()
    if broken:
        named = sorted(broken)[:SHOWN_FILES]
        more = f" and {len(broken) - len(named)} more" if len(broken) > len(named) else ""
        raise UserError(
            f"{len(broken)} of {len(files)} images cannot be read: {', '.join(named)}{more}",
            key=key,
            remedy="mend or remove them; none is skipped, since every accuracy depends on which there are",
        )
    return images


def planes(image: Image) -> Images:
    """An RGB image as uint8 3,H,W."""
    return np.asarray(image).transpose(2, 0, 1)


def _class_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read(file: Path, framing: Framing) -> Images:
    """The framed image in `file`; OSError for whatever is wrong with the file."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return planes(framing.apply(image.convert("RGB")))
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise OSError(str(error)) from error
