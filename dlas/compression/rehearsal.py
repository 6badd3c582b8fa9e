"""What the rehearsals of all steps of compression share: one run of the network that a step would leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlas import config
from dlas.errors import UserError
from dlas.users_code import told

if TYPE_CHECKING:
    import torch
    from torch import nn


def random_images(image_shape: tuple[int, int, int], count: int) -> torch.Tensor:
    """`count` images (N, channels, height, width) of random values from -1 to 1, always the same."""
    import torch

    chance = torch.Generator().manual_seed(0)
    return torch.rand(count, *image_shape, generator=chance) * 2 - 1


def refusal(settings: config.Compression, problem: str) -> UserError:
    """UserError about a network that the step of compression cannot serve."""
    return UserError(
        problem,
        key=settings.key,
        remedy=f"leave {settings.name} out of compression= for this network",
    )


def require_run(network: nn.Module, image_shape: tuple[int, int, int], settings: config.Compression) -> None:
    """UserError, which names the layer, where the network that the step left fails on an image."""
    import torch

    from dlas.models import passage
    from dlas.models.precision import architecture

    with torch.no_grad(), passage.watched(architecture(network)) as way:
        try:
            network(random_images(image_shape, 1))
        except Exception as error:  # a user's own forward may raise anything
            problem = f"the network fails after this step, in {way.innermost}: {told(error)}"
            raise refusal(settings, problem) from error
