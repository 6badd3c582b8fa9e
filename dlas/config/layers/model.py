"""Layer 2: the network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlas.errors import require
from dlas.plugins.registry import FACTORIES


@dataclass(frozen=True)
class Model:
    """Layer 2. `factory` is a function `(classes: int) -> torch.nn.Module`.

    With `weights` the network is not trained: it is what they say.
    """

    name: str
    factory: str | None = None
    """A name of dlas.plugins.registry.FACTORIES, or a dotted path; null for that of the name."""
    image_size: int | None = None
    """Height and width of the images that the network is made for; null for any."""
    weights: str | None = None
    """A .pth, .pt or .safetensors file, or `package:<name>`: the one in that installed package."""
    mean: list[float] | None = None
    """Mean of each channel, of pixels scaled to 0..1, that the weights were trained with; null for the
    dataset's."""
    std: list[float] | None = None

    @property
    def implementation(self) -> str:
        """The dotted path of the factory."""
        return FACTORIES.path(self.name if self.factory is None else self.factory)

    def __post_init__(self) -> None:
        size = self.image_size
        require(size is None or size >= 1, "model.image_size", f"{size} is too small", "1 or more, or null")
        mean, std, remedy = self.mean, self.std, "as many numbers as std, or null for both"
        require((mean is None) == (std is None), "model.mean", "mean and std go together", remedy)
        if mean is not None and std is not None:
            require(len(mean) == len(std) > 0, "model.mean", f"{len(mean)} numbers for {len(std)}", remedy)
            finite = all(math.isfinite(value) for value in mean)
            require(finite, "model.mean", f"{mean} is not finite", "numbers such as 0.485")
            positive = all(0 < value < math.inf for value in std)
            require(positive, "model.std", f"{std} cannot be divided by", "more than 0")
