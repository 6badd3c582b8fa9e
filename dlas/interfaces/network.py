"""Layer 2: a network factory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class NetworkFactory(Protocol):
    """A function, or a class, that makes a network."""

    def __call__(self, classes: int, /) -> nn.Module:
        """Give a network of untrained weights: float32 images NCHW to one number for each of the classes.

        Weights are drawn from torch's own generator, which is seeded before each call.
        """
        ...
