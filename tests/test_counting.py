from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from dlas.models import counting

IMAGE = (3, 8, 8)


def small() -> nn.Sequential:
    """3x8x8 to 4x4x4 by a strided 3x3 convolution, to 4x4x4 depthwise, to 2 classes."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),  # 108 weights, at 16 positions
        nn.BatchNorm2d(4),  # 8 parameters
        nn.Conv2d(4, 4, 3, padding=1, groups=4),  # 36 weights, at 16 positions, and 4 biases
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),  # 8 weights, at one position, and 2 biases
    )


@pytest.fixture
def remaining() -> nn.Sequential:
    """8 of 108, 9 of 36 and 3 of 8 weights are left: of each row 2, of one row all 9, of each row 1 or 2."""
    model = small()
    with torch.no_grad():
        for layer in (model[0], model[2], model[5]):
            layer.weight.zero_()
        model[0].weight[:, 0, 0, :2] = 1
        model[2].weight[0] = 1
        model[5].weight[0, 0] = 1
        model[5].weight[1, :2] = 1
    return model


def test_parameters_are_dense_and_those_that_are_not_zero(remaining: nn.Sequential) -> None:
    assert counting.parameters(small()) == 108 + 8 + 36 + 4 + 8 + 2 == 166
    assert counting.nonzero_parameters(small()) == 166
    assert counting.nonzero_parameters(remaining) == 8 + 8 + 9 + 4 + 3 + 2 == 34


def test_what_starts_at_zero_but_is_no_weight_counts_as_a_parameter() -> None:
    """The shifts of a new batch norm are all zero."""
    assert counting.nonzero_parameters(nn.Sequential(nn.BatchNorm2d(4))) == 8


def test_macs_are_those_of_the_weights_that_are_not_zero(remaining: nn.Sequential) -> None:
    assert counting.macs(remaining, IMAGE) == 108 * 16 + 36 * 16 + 8 == 2312
    assert counting.remaining_macs(small(), IMAGE) == 2312
    assert counting.remaining_macs(remaining, IMAGE) == 8 * 16 + 9 * 16 + 3 == 275


def test_a_layer_that_runs_twice_costs_twice() -> None:
    shared = nn.Conv2d(3, 3, 1, bias=False)
    with torch.no_grad():
        shared.weight[0] = 0
    assert counting.remaining_macs(nn.Sequential(shared, shared), IMAGE) == 2 * 64 * 6


def test_remaining_macs_are_the_products_that_torch_computes_with_non_zero_weights() -> None:
    """All ones in, zeros and ones as weights: the sum of the outputs is the number of products."""
    layer = nn.Conv2d(6, 8, 3, stride=2, groups=2, bias=False)
    mask = torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) > 0.7
    with torch.no_grad():
        layer.weight.copy_(mask)
        products = layer(torch.ones(1, 6, 9, 9)).sum().item()
    assert counting.remaining_macs(nn.Sequential(layer), (6, 9, 9)) == products


class Unusual(nn.Module):
    """Convolutions in one dimension, transposed and weight-normed, a linear layer on tokens, a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1))
        self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.rows = nn.Conv1d(6 * 15, 8, 3, stride=2)
        self.tokens = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grown = self.up(self.conv(images) + torch.arange(8.0))
        return self.tokens(self.rows(grown.flatten(1, 2)).transpose(1, 2)).mean(1)


def test_macs_of_unusual_layers_are_those_that_torch_counts() -> None:
    with FlopCounterMode(display=False) as counter:
        Unusual()(torch.zeros(1, *IMAGE))
    assert 2 * counting.macs(Unusual(), IMAGE) == counter.get_total_flops()


def test_a_weight_that_two_layers_share_is_counted_once() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False))
    network[1].weight = network[0].weight
    with torch.no_grad():
        network[0].weight[0] = 0
    assert counting.parameters(network) == 9
    assert counting.nonzero_parameters(network) == 6
    assert counting.remaining_macs(network, IMAGE) == 2 * 64 * 6


@pytest.mark.parametrize(("bits", "size"), [(32, 400), (16, 200), (8, 100), (4, 50), (1, 13)])
def test_dense_bytes(bits: int, size: int) -> None:
    assert counting.dense_bytes(100, bits) == size


def test_ratios() -> None:
    assert counting.compression_ratio(166, 34) == pytest.approx(4.88235, abs=1e-5)


def test_counting_changes_nothing() -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    counting.remaining_macs(model, IMAGE)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name].numpy())
