"""Layer 1: the images."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.plugins.registry import DATASETS


@dataclass(frozen=True)
class Dataset:
    """Layer 1. `module` offers `Settings`, a subclass of this one, and `load(settings) -> ImageDataset`."""

    name: str
    module: str | None = None
    """A name of dlas.plugins.registry.DATASETS, or a dotted path; null for that of the name."""
    root: str | None = None

    @property
    def implementation(self) -> str:
        """The dotted path of the module."""
        return DATASETS.path(self.name if self.module is None else self.module)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of every image; None where only reading them tells."""
        return None

    @property
    def image_size(self) -> int | None:
        """Height and width of every image; None where they differ, and where only the files tell."""
        _, height, width = self.image_shape or (0, 0, 1)
        return height if height == width else None

    @property
    def classes(self) -> int | None:
        """Number of classes of the images; None where only reading them tells."""
        return None
