"""Check that a data set fits into memory, before it is read."""

from __future__ import annotations

import math

import psutil

from dlas.errors import UserError

GIB = 2**30


def require_memory(images: int, shape: tuple[int, int, int], copies: int, remedy: str) -> None:
    """UserError where so many copies of the images take more than is free. `shape` is of one, in bytes."""
    needed, free = copies * images * math.prod(shape), psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"to read {images} images of {'x'.join(map(str, shape))} takes {needed / GIB:.1f} GiB of memory, "
            f"and {free / GIB:.1f} GiB are free",
            key="dataset.root",
            remedy=remedy,
        )
