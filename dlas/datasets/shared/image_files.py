"""Photographs in files, made into arrays of one size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dlas.datasets.shared.image_colors import has_sixteen_bits, upright_rgb
from dlas.datasets.shared.refusal import require_none
from dlas.errors import last_line
from dlas.interfaces.images import Images

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_GREYS = 16
"""Levels of 256 that images of 16 bits have to reach, or else they hold values of fewer bits."""


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


def read_images(files: Sequence[Path], framing: Framing, key: str = "dataset.root") -> Images:
    """The files as uint8 N,3,crop,crop, with a progress bar on stderr.

    A broken image is refused, not skipped: which images are in a set decides its split and every accuracy,
    so the same command must not mean another set for whoever has the whole file. So is one that has no
    certain reading (`upright_rgb`). All are counted and some named in one UserError, under `key`.
    """
    images = np.empty((len(files), 3, framing.crop, framing.crop), np.uint8)
    problems: list[str] = []
    sixteen_bits: list[int] = []

    def read(index: int) -> None:
        from PIL import Image

        try:
            with Image.open(files[index]) as image:
                if has_sixteen_bits(image):
                    sixteen_bits.append(index)
                images[index] = planes(framing.apply(upright_rgb(image)))
        except Exception as error:  # Pillow's readers raise almost anything for a broken file
            problems.append(f"{files[index]} ({_reason(error, files[index])})")

    shown = tqdm(total=len(files), desc="images", unit="image", disable=not files)
    with ThreadPoolExecutor() as threads, shown as progress:
        for _ in threads.map(read, range(len(files))):
            progress.update()
    if not problems:
        problems = _of_fewer_bits(files, images, sixteen_bits)
    require_none(problems, f"of {len(files)} images cannot be read", key)
    return images


def planes(image: Image) -> Images:
    """An RGB image as uint8 3,H,W."""
    return np.asarray(image).transpose(2, 0, 1)


def _reason(error: Exception, file: Path) -> str:
    """What is wrong with a file, in one line."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        if file.stat().st_size == 0:
            return "it is empty"
        return "its start is broken, or it is of a kind that is not read: save it as PNG with 8 bits"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return last_line(error)


def _of_fewer_bits(files: Sequence[Path], images: Images, sixteen_bits: list[int]) -> list[str]:
    """Problems of images of 16 bits that are all so dark that they hold 10 or 12 bits, as many cameras write
    them: next to nothing would be left of them."""
    if not sixteen_bits or images[sixteen_bits].max() >= MIN_GREYS:
        return []
    limit = MIN_GREYS * 256
    reason = f"like all images of 16 bits here it stays below {limit} of 65535: scale it to the whole range"
    return [f"{files[index]} ({reason})" for index in sixteen_bits]
