"""The images of a set, read once to see that all of them can be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import datasets
from dlas.stages.stage import Kept, Stage

if TYPE_CHECKING:
    from dlas import config
    from dlas.files.checkpoints import Checkpoints

FOUND = "images.json"


@dataclass(frozen=True, kw_only=True)
class Readable(Kept):
    """A set of which every image could be read."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    deviations: tuple[float, ...]
    """Standard deviations of the channels, as fractions of the largest value."""


@dataclass(frozen=True, kw_only=True)
class ReadImages(Stage[Readable]):
    """All images of a set, read: UserError for those that cannot be."""

    settings: config.Dataset
    files: tuple[str | None, ...]
    """Hashes of the paths, sizes and times of change of the files in the folders of the settings."""

    stage = "images"

    def named_modules(self) -> Sequence[str]:
        return (self.settings.implementation,)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        found = datasets.load(self.settings)
        told = {
            "image_shape": list(found.image_shape),
            "classes": found.classes,
            "deviations": [float(deviation) for deviation in found.std],
        }
        (folder / FOUND).write_text(json.dumps(told) + "\n")

    def read(self, folder: Path) -> Readable:
        told = json.loads((folder / FOUND).read_text())
        channels, height, width = told["image_shape"]
        return Readable(
            folder=folder,
            image_shape=(channels, height, width),
            classes=told["classes"],
            deviations=tuple(told["deviations"]),
        )
