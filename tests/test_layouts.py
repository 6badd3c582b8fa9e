"""Activations in blocks of channels through whole networks: right answers, and no needless layout change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import run
from dlas.interfaces.program import LoweredProgram
from dlas.systems.choices.declared_algorithm import assigned
from dlas.systems.choices.lowering import lower, lowered
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.graph.importing import import_network
from dlas.systems.graph.sites import conv_sites

DIRECT, SPATIAL_PACK, WINOGRAD = "direct", "spatial_pack", "winograd_f2"
IMAGE = (1, 3, 14, 14)


class Mixed(nn.Module):
    """What stands between convolutions: pooling, concatenation, arithmetic, a gate per channel, a batch norm
    that no convolution takes in, channels that make no block, a plane of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.left = nn.Conv2d(16, 32, 3, padding=1)
        self.right = nn.Conv2d(16, 16, 1)
        self.norm = nn.BatchNorm2d(48)
        self.squeeze = nn.Conv2d(48, 12, 1)
        self.excite = nn.Conv2d(12, 48, 1)
        self.odd = nn.Conv2d(48, 7, 3, stride=2)
        self.even = nn.Conv2d(7, 24, 3, padding=1)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.classifier = nn.Linear(24, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.stem(image))
        left = nn.functional.max_pool2d(nn.functional.relu6(self.left(stem)), 3, 2, 1)
        right = nn.functional.avg_pool2d(self.right(stem), 2)
        joined = torch.relu(self.norm(torch.cat([left, right], 1)))
        gate = torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(joined.mean((2, 3), keepdim=True)))))
        odd = torch.relu(self.odd(joined * gate + 0.5))
        even = self.depthwise(self.even(odd)) * 2 - 1
        return self.classifier(nn.functional.adaptive_avg_pool2d(even, 1).flatten(1))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    model = Mixed()
    with torch.no_grad():
        model.norm.running_mean.uniform_(-1, 1)
        model.norm.running_var.uniform_(0.5, 2)
    return model.eval()


def assert_equal_to_pytorch(program: LoweredProgram, network: nn.Module, folder: Path) -> None:
    target = resolve(config.Target(name="host"))
    build_library(program, {}, target.code, target.linker, 3, folder / "model.so")
    images = np.random.default_rng(0).standard_normal((3, *IMAGE[1:])).astype("float32")
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(folder / "model.so", images, target), expected, rtol=1e-4, atol=1e-5)


def layout_changes(program: LoweredProgram) -> list[str]:
    return [var.name_hint for var in program.module.get_global_vars() if "layout_" in var.name_hint]


def test_blocked_activations_go_through_everything_between_convolutions(
    network: nn.Module, tmp_path: Path
) -> None:
    program = lower(network, IMAGE, SPATIAL_PACK)
    assert {layer.algorithm for layer in program.layers} == {SPATIAL_PACK}
    assert layout_changes(program) == []
    assert_equal_to_pytorch(program, network, tmp_path)


def test_kernels_in_different_layouts_stand_side_by_side(network: nn.Module, tmp_path: Path) -> None:
    imported = import_network(network, IMAGE)
    sites = conv_sites(imported)
    turns = (DIRECT, SPATIAL_PACK)
    layers = [assigned(site, turns[index % 2], "dense") for index, site in enumerate(sites)]
    program = lowered(imported, sites, layers)
    assert layout_changes(program) != []
    assert_equal_to_pytorch(program, network, tmp_path)


def test_an_activation_that_the_network_returns_is_in_nchw(tmp_path: Path) -> None:
    convolutions = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3)).eval()
    assert_equal_to_pytorch(lower(convolutions, IMAGE, SPATIAL_PACK), convolutions, tmp_path)


def test_what_takes_the_place_of_an_algorithm_keeps_to_its_layout(network: nn.Module) -> None:
    layers = {layer.name: layer for layer in lower(network, IMAGE, WINOGRAD).layers}
    assert layers["left"].algorithm == WINOGRAD
    assert layers["odd"].algorithm == SPATIAL_PACK
    assert layers["odd"].fallback_reason
