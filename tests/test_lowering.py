"""Whole networks: what is fused, what falls back, and that the library answers as PyTorch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import IMAGE, Residual
from torch import nn

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import run
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.program import program

DIRECT, GEMM = "direct", "gemm"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return Residual().eval()


def test_epilogues_are_taken_in(network: nn.Module) -> None:
    layers = {layer.name: layer.workload for layer in lower(network, IMAGE, DIRECT).layers}
    found = {name: (w.bias, w.residual, w.activation) for name, w in layers.items()}
    assert found["stem"] == (True, False, "relu")
    assert found["first"] == (True, False, "relu"), "batch norm folds into a bias"
    assert found["second"] == (False, True, "relu")
    assert sorted((found["down"], found["shortcut"])) == [(True, False, ""), (True, True, "relu")]
    assert found["shared"] == (True, False, ""), "its output is read twice"
    assert found["depthwise"] == (True, True, "")


def test_a_layer_that_the_algorithm_cannot_serve_falls_back_and_says_so(network: nn.Module) -> None:
    layers = {layer.name: layer for layer in lower(network, IMAGE, GEMM).layers}
    assert layers["depthwise"].algorithm == DIRECT
    assert layers["depthwise"].requested == GEMM
    assert "depthwise" in layers["depthwise"].fallback_reason
    assert {layer.algorithm for name, layer in layers.items() if name != "depthwise"} == {GEMM}


@pytest.mark.parametrize("algorithm", [DIRECT, GEMM])
def test_the_library_answers_as_pytorch_does(network: nn.Module, algorithm: str, tmp_path: Path) -> None:
    target = resolve(config.Target(name="host"))
    program.save(lower(network, IMAGE, algorithm), tmp_path)
    build_library(program.load(tmp_path), {}, target.code, target.linker, 3, tmp_path / "model.so")
    images = np.random.default_rng(0).standard_normal((5, *IMAGE[1:])).astype("float32")
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(tmp_path / "model.so", images, target), expected, rtol=1e-4, atol=1e-5)


def test_layers_of_one_workload_share_a_kernel() -> None:
    twins = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(3)]).eval()
    lowered = lower(twins, IMAGE, DIRECT)
    assert len(lowered.layers) == 3
    assert len({layer.kernel for layer in lowered.layers}) == 1
    assert len([var for var in lowered.module.get_global_vars() if var.name_hint != "main"]) == 1


class Positions(nn.Module):
    """A convolution to whose output a number for each place is added that is the same for all images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.place = nn.Parameter(torch.randn(1, 16, 1, IMAGE[3]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.conv(images) + self.place.expand(1, -1, images.shape[2], -1)).relu()


def test_a_constant_is_no_residual_of_a_kernel(tmp_path: Path) -> None:
    target, images = resolve(config.Target(name="host")), torch.randn(1, *IMAGE[1:])
    network = Positions().eval()
    lowered = lower(network, IMAGE, "spatial_pack")
    assert [layer.workload.residual for layer in lowered.layers] == [False]
    build_library(lowered, {}, target.code, target.linker, 3, tmp_path / "model.so")
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(
        run(tmp_path / "model.so", images.numpy(), target), expected, rtol=1e-4, atol=1e-5
    )


class Namesakes(nn.Module):
    """Two layers of one name but for `network`, as a wrapper's is called; the last is added to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(3, 3, 3))
        self.add_module("0", nn.Conv2d(3, 3, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        doubled: torch.Tensor = self.get_submodule("0")(self.network(image).relu())
        return (doubled + doubled).relu()


def test_layers_keep_their_weights_and_no_output_is_a_residual_of_itself(tmp_path: Path) -> None:
    target, images = resolve(config.Target(name="host")), torch.randn(1, *IMAGE[1:])
    network = Namesakes().eval()
    lowered = lower(network, IMAGE, DIRECT)
    assert [layer.name for layer in lowered.layers] == ["network.0", "0"]
    build_library(lowered, {}, target.code, target.linker, 3, tmp_path / "model.so")
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(
        run(tmp_path / "model.so", images.numpy(), target), expected, rtol=1e-4, atol=1e-5
    )
