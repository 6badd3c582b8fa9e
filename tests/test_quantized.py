"""Networks in int8: what is quantized, at any magnitude, against PyTorch's simulation and its float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_networks import deployed, images_of, quantized
from torch import nn
from user_models import drowned

from dlas import config
from dlas.algorithms.shared.integer import requantization
from dlas.compression import int8
from dlas.errors import UserError
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import run
from dlas.interfaces.workload import INT8_MAX, UINT8_MAX
from dlas.models import checkpoint
from dlas.models.fidelity import layers_without_signal
from dlas.systems.choices.lowering import enlarged
from dlas.systems.compilers.tvm.building import build_library

IMAGE = (3, 12, 12)


def layers(magnitude: float) -> nn.Sequential:
    """The activations from the first layer on are `magnitude` times as large."""
    torch.manual_seed(0)
    found = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3)
    )
    with torch.no_grad():
        for parameter in (found[0].weight, found[0].bias, found[4].bias):
            parameter *= magnitude
    return found


@pytest.mark.parametrize("observer", ["histogram", "minmax"])
def test_a_network_is_quantized_alike_at_any_magnitude(observer: str, tmp_path: Path) -> None:
    images = images_of(IMAGE)
    plain = quantized(layers(1), IMAGE, observer)
    with torch.no_grad():
        expected = plain(images)
        assert expected.std() > 30 * (expected - layers(1)(images)).abs().mean(), "it is quantized well"
        for exponent in (-70, -30, 40):
            scaled = quantized(layers(2.0**exponent), IMAGE, observer)
            torch.testing.assert_close(scaled(images), expected * 2.0**exponent, rtol=1e-4, atol=0)
    _, answers = deployed(quantized(layers(2.0**-30), IMAGE, observer), images, "direct", tmp_path)
    np.testing.assert_allclose(answers * 2.0**30, expected.numpy(), atol=0.02 * float(expected.abs().max()))


class Linear(nn.Module):
    """Linear layers of odd sizes: in a chain, with and without bias and activation, after a flattened plane,
    after a mean, and before an operator that wants float32."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.flat = nn.Linear(3 * 12 * 12, 33)
        self.bare = nn.Linear(33, 3, bias=False)
        self.six = nn.Linear(3, 7)
        self.conv = nn.Conv2d(3, 10, 3)
        self.mean = nn.Linear(10, 7)
        self.last = nn.Linear(7, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        chain = nn.functional.relu6(self.six(self.bare(self.flat(images.flatten(1)).relu())))
        pooled = self.mean(self.conv(images).relu().mean((2, 3)))
        return self.last(chain + torch.sigmoid(pooled))


class Scaled(nn.Conv2d):
    """A convolution with a parameter called as one of an integer kernel."""

    def __init__(self) -> None:
        super().__init__(3, 8, 3)
        self.multiplier = nn.Parameter(torch.randn(8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) * self.multiplier.view(1, -1, 1, 1)


def test_a_users_parameter_may_be_called_as_one_of_an_integer_kernel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images = quantized(nn.Sequential(Scaled()), IMAGE), images_of(IMAGE)
    _, answers = deployed(network, images, "direct", tmp_path)
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(answers, expected, atol=0.01 * float(np.abs(expected).max()))


@pytest.mark.parametrize("algorithm", ["direct", "gemm", "spatial_pack"])
def test_linear_layers_are_integer_from_one_to_the_next(algorithm: str, tmp_path: Path) -> None:
    network, images = Linear().eval(), images_of(IMAGE)
    integer = quantized(network, IMAGE)
    program, answers = deployed(integer, images, algorithm, tmp_path)
    with torch.no_grad():
        simulated, expected = integer(images).numpy(), network(images).numpy()
    assert np.abs(answers - simulated).max() < 0.01 * np.abs(simulated).max()
    assert np.abs(simulated - expected).max() < 0.03 * np.abs(expected).max()
    workloads = {layer.name: layer.workload for layer in program.layers}
    assert {workload.dtype for workload in workloads.values()} == {"int8"}
    epilogues = {name: (w.activation, w.output_dtype) for name, w in workloads.items()}
    assert epilogues == {
        "flat": ("relu", "uint8"),
        "bare": ("", "uint8"),
        "six": ("relu6", "float32"),
        "conv": ("relu", "float32"),
        "mean": ("", "float32"),
        "last": ("", "float32"),
    }


class Tokens(nn.Module):
    """Attention over patches, rows by a GRU and a 1-d convolution, a transposed convolution, and one that is
    called twice and has its weight normalized."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.rows = nn.Conv1d(36, 12, 3, padding=1)
        self.gru = nn.GRU(12, 8, batch_first=True)
        self.up = nn.ConvTranspose2d(3, 8, 2, 2)
        self.shared = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.last = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        seen = self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)
        read = self.gru(self.rows(images.flatten(1, 2)).relu().transpose(1, 2))[0][:, -1]
        planes = self.shared(self.shared(self.up(images)).relu()).mean((2, 3))
        return self.last(torch.cat([seen, read, planes], 1))


def test_layers_of_every_kind_answer_as_the_simulation(tmp_path: Path) -> None:
    network, images = Tokens().eval(), images_of(IMAGE)
    integer = quantized(network, IMAGE)
    program, answers = deployed(integer, images, "spatial_pack", tmp_path)
    with torch.no_grad():
        simulated, expected = integer(images).numpy(), network(images).numpy()
    assert np.abs(answers - simulated).max() < 0.01 * np.abs(simulated).max()
    assert np.abs(simulated - expected).max() < 0.05 * np.abs(expected).max()
    integers = {layer.name for layer in program.layers if layer.workload.dtype == "int8"}
    assert integers >= {"patches", "rows", "shared", "shared.call2", "last", "attention.in_proj_weight"}


def test_a_larger_batch_of_linear_layers_answers_as_single_images_do(tmp_path: Path) -> None:
    integer, images = quantized(Linear(), IMAGE), images_of(IMAGE)
    single, answers = deployed(integer, images, "spatial_pack", tmp_path)
    several = enlarged(single, integer.exportable(len(images)), images.shape)
    target = resolve(config.Target(name="host"))
    build_library(several, {}, target.code, target.linker, 3, tmp_path / "batch.so")
    np.testing.assert_allclose(
        run(tmp_path / "batch.so", images.numpy(), target, len(images)), answers, rtol=1e-5
    )


def test_layers_that_lose_their_signal_are_named_and_no_others() -> None:
    found = quantized(drowned(10), IMAGE).signal_to_noise
    named = {name for name in found if f"{name} (" in layers_without_signal(found)}
    assert named == {"mixed", "last"}
    assert found["dead"] == 100
    assert min(found["loud"], found["quiet"]) > 30
    assert layers_without_signal(quantized(Linear(), IMAGE).signal_to_noise) == ""


def test_the_signal_is_the_variance_over_that_of_the_error() -> None:
    """By hand, of the first layer, whose input is the only thing that is quantized besides its weight."""
    network, images = layers(1).eval(), images_of(IMAGE)
    integer = quantized(network, IMAGE)
    with torch.no_grad():
        read = [
            user for node in integer.simulated.graph.nodes if node.op == "placeholder" for user in node.users
        ]
        scale, zero = (node.args[at] for node in read if "quantize" in node.name for at in (1, 2))
        quantize = torch.fake_quantize_per_tensor_affine(images, float(scale), int(zero), 0, 255)
        steps = network[0].weight.abs().amax((1, 2, 3)) / 127
        weight = torch.fake_quantize_per_channel_affine(
            network[0].weight, steps, torch.zeros(16, dtype=torch.int32), 0, -127, 127
        )
        exact = network[0](images)
        noise = (nn.functional.conv2d(quantize, weight, network[0].bias) - exact).square().mean()
    expected = 10 * torch.log10(exact.var((0, 2, 3), correction=0).mean() / noise)
    assert integer.signal_to_noise["0"] == pytest.approx(float(expected), abs=0.05)


def test_a_quantized_network_is_restored_from_its_file(tmp_path: Path) -> None:
    made, images = quantized(drowned(10), IMAGE), images_of(IMAGE)
    checkpoint.save(made, tmp_path / "model.safetensors")
    restored = int8.restore(drowned(10), tmp_path / "model.safetensors")
    assert restored.signal_to_noise == made.signal_to_noise
    with torch.no_grad():
        torch.testing.assert_close(restored(images), made(images), rtol=0, atol=0)


class OneByOne(nn.Module):
    """A forward with numbers of its own for so many images, which `torch.export` writes down as constants."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        count = int(images.shape[0])
        found: torch.Tensor = self.last(self.conv(images).relu().reshape(count, 8, -1).mean(2))
        return found + torch.zeros(count, 10)


def test_a_network_that_fixes_its_batch_is_quantized_for_one_image_and_for_several(tmp_path: Path) -> None:
    network, images = OneByOne().eval(), images_of(IMAGE)
    integer = quantized(network, IMAGE)
    with torch.no_grad():
        simulated, expected = integer(images).numpy(), network(images).numpy()
    np.testing.assert_allclose(simulated, expected, atol=0.03 * np.abs(expected).max())
    single, answers = deployed(integer, images, "direct", tmp_path)
    np.testing.assert_allclose(answers, simulated, atol=0.01 * np.abs(simulated).max())
    several = enlarged(single, integer.exportable(len(images)), images.shape)
    assert {(layer.workload.batch, layer.workload.dtype) for layer in several.layers} == {(8, "int8")}
    with torch.no_grad():
        torch.testing.assert_close(integer.exportable(8)(images).numpy(), simulated, rtol=1e-4, atol=1e-5)


class Unrolled(OneByOne):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        planes = self.conv(images).mean((2, 3))
        return torch.cat([self.last(planes[at : at + 1]) for at in range(images.shape[0])])


def test_a_network_with_other_layers_for_several_images_is_refused_for_them() -> None:
    integer = quantized(Unrolled(), IMAGE)
    with pytest.raises(UserError, match="other layers for 4 images") as refused:
        integer.exportable(4)
    assert refused.value.key == "timing.batch_sizes"


def test_a_bias_beside_weights_that_add_next_to_nothing_is_kept(tmp_path: Path) -> None:
    network, images = layers(1), images_of(IMAGE)
    with torch.no_grad():
        network[4].weight[0] = 0
        network[4].weight[1] *= 1e-12
        network[4].weight[2] *= 1e-5
        network[4].bias[:3] = torch.tensor([300.0, -2.0, 5.0])
        expected = network(images).numpy()
    _, answers = deployed(quantized(network, IMAGE), images, "direct", tmp_path)
    np.testing.assert_allclose(answers[:, :3], expected[:, :3], rtol=1e-6)
    np.testing.assert_allclose(answers, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("inputs", [7, 200_000])
@pytest.mark.parametrize("bias", [0.0, 1e7])
def test_sums_fit_32_bits_for_any_input(inputs: int, bias: float) -> None:
    weight = np.linspace(0, 0.5, inputs, dtype=np.float32).reshape(1, inputs, 1, 1)
    shifts = np.array([bias], np.float32)
    scales = requantization.exact_scales(weight, shifts, 0.1, np.array([0.5 / INT8_MAX], np.float32))
    values = requantization.integer_weight(weight, scales).astype(np.int64)
    integer = requantization.integer_bias(values, shifts, 0.1, UINT8_MAX, scales).astype(np.int64)
    sums = integer + np.array([0, UINT8_MAX]) * values.sum()
    assert np.abs([sums[0], sums[1], integer[0], UINT8_MAX * values.sum()]).max() < 2**31
    least, most = -0.1 * UINT8_MAX * 0.25 * inputs + bias, bias
    np.testing.assert_allclose(sums * 0.1 * scales, [least, most], rtol=1e-2, atol=1e-3 * abs(least - bias))
