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

        Weights are drawn from torch's own generator, which is seeded before each call. What a network keeps
        from one step of training to the next stands in its parameters and buffers, and chance comes from
        torch's own generators: then a training that is interrupted goes on to the same weights.
        """
        ...
