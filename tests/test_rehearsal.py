"""Steps of compression are tried on an untrained network before anything is trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from user_models import two_layers

from dlas.compression.magnitude_pruning import prunable_weights
from dlas.errors import UserError
from dlas.plugins.registry import COMPRESSIONS

SHAPE = (3, 32, 32)


class InFloat32(nn.Module):
    """A layer that computes in float32, whatever it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float()


def around(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, two_layers(10))


def rehearsed(name: str, network: nn.Module, **declared: object) -> nn.Module:
    module = COMPRESSIONS.load(name)
    network.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        found: nn.Module = module.rehearse(network, SHAPE, module.Settings(name, **declared))
    finally:
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    return found


@pytest.mark.parametrize("name", COMPRESSIONS.names())
def test_what_is_rehearsed_answers_as_the_network_does(name: str) -> None:
    declared = {"block": [2, 1]} if name == "block_pruning" else {}
    assert rehearsed(name, two_layers(10), **declared)(torch.rand(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "network", "said"),
    [
        ("float16", lambda: around(InFloat32()), "layer 1.0"),
        ("weight_pruning", lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "no layer to prune"),
        ("block_pruning", lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "no layer to prune"),
    ],
)
def test_what_cannot_be_done_is_refused_by_a_rehearsal(
    name: str, network: Callable[[], nn.Module], said: str
) -> None:
    with pytest.raises(UserError, match=said) as refused:
        rehearsed(name, network())
    assert refused.value.key == f"compression.{name}"
    assert f"leave {name} out" in refused.value.remedy


def test_computed_weights_are_not_pruned() -> None:
    """Zeros in them would be gone at the next use."""
    network = two_layers(10)
    parametrizations.weight_norm(network[3])
    assert list(prunable_weights(network, SHAPE)) == ["0"]
