"""Layer 1: a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from dlas.interfaces.images import ImageDataset


@runtime_checkable
class Dataset(Protocol):
    """A module that reads images. It is light to import: what it needs is imported by `load`."""

    Settings: type
    """A frozen subclass of `dlas.config.Dataset`: what the option's YAML may say. What is out of range is
    refused when it is made. Its `classes` and `image_shape` are what is known before an image is read."""

    def load(self, settings: Any, /) -> ImageDataset:
        """Read the images, by these `Settings`.

        Called once in a run, before any work. The same settings and files give the same images in the same
        order: the split into training and test images takes no chance. UserError names what is missing or
        broken; an image is never skipped.
        """
        ...
