"""Integer convolution in NumPy, what its scales become, and float16 kernels against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
import tvm
from test_algorithms import ACTIVATIONS, by_name, grid

from dlas import config
from dlas.algorithms.layout import physical_shape
from dlas.algorithms.shared.integer import requantization
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.graph.integer_convolutions import warn_of_wide_weights
from dlas.testing.algorithm import compiled, laid_out, logical, physical

ZEROS = [(0, 0, 0), (128, 3, 128), (7, 255, None)]


def integer_grid() -> list[ConvWorkload]:
    found = []
    for index, workload in enumerate(grid()):
        input_zero, residual_zero, output_zero = ZEROS[index % len(ZEROS)]
        integer = {"dtype": "int8", "bias": True, "input_zero": input_zero, "output_zero": output_zero}
        residual = residual_zero if workload.residual else 0
        limit = output_zero + 60 if output_zero is not None and workload.activation == "relu6" else 255
        found.append(
            ConvWorkload(**{**vars(workload), **integer, "residual_zero": residual, "output_limit": limit})
        )
    return found


@pytest.mark.parametrize(
    ("cpu", "limit", "told"), [("skylake", 127, True), ("skylake", 64, False), ("icelake-server", 127, False)]
)
def test_weights_of_a_bit_too_many_are_told_of(
    cpu: str, limit: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    workload = replace(integer_grid()[0], weight_limit=limit)
    target = resolve(config.Target(name="host", cpu=cpu)).code
    warn_of_wide_weights([ConvLayer("conv1", workload, "direct_int8", "direct_int8")], target)
    assert ("compression.int8.weight_bits" in caplog.text) == told


def random_operands(workload: ConvWorkload) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    channels = workload.out_channels
    depth = workload.group_in_channels * workload.kernel[0] * workload.kernel[1]
    scale = 1 if workload.output_zero is None else 256
    return {
        "data": random.integers(0, 256, workload.input_shape).astype("uint8"),
        "weight": random.integers(-127, 128, workload.weight_shape).astype("int8"),
        "bias": random.integers(-(2**14), 2**14, channels).astype("int32"),
        "multiplier": (random.random(channels) * scale / (40 * depth**0.5)).astype("float32"),
        "residual": random.integers(0, 256, workload.output_shape).astype("uint8"),
        "residual_multiplier": (random.random(1) * scale).astype("float32"),
    }


def by_numpy(workload: ConvWorkload, operands: dict[str, np.ndarray]) -> np.ndarray:
    """The same convolution in 64-bit integers, one float32 product per term."""
    top, left, bottom, right = workload.padding
    border = [(0, 0), (0, 0), (top, bottom), (left, right)]
    data = np.pad(operands["data"].astype(np.int64), border, constant_values=workload.input_zero)
    sums = torch.nn.functional.conv2d(
        torch.from_numpy(data),
        torch.from_numpy(operands["weight"].astype(np.int64)),
        stride=workload.stride,
        dilation=workload.dilation,
        groups=workload.groups,
    ).numpy()
    sums = (sums + operands["bias"][:, None, None]).astype(np.int32).astype(np.float32)
    terms = [sums * operands["multiplier"][:, None, None]]
    if workload.residual:
        centered = operands["residual"].astype(np.int32) - workload.residual_zero
        terms.append(centered.astype(np.float32) * operands["residual_multiplier"])
    if workload.output_zero is None:
        total = torch.from_numpy(np.sum(terms, axis=0, dtype=np.float32))
        return ACTIVATIONS[workload.activation](total).numpy()
    fixed = sum(np.rint(term).astype(np.int64) for term in terms)
    fixed = np.maximum(fixed, 0) if workload.activation else fixed
    rounded = (fixed + 128) // 256 + workload.output_zero
    return np.clip(rounded, 0, workload.output_limit).astype(np.uint8)


def test_scales_become_bias_and_multiplier() -> None:
    """By hand: weights (1, -2) of scale 0.5, input scale 0.1 around 10, bias 3, output scale 0.2."""
    weight = np.array([1, -2], "int8").reshape(1, 2, 1, 1)
    bias = requantization.integer_bias(weight, np.array([3.0], "float32"), 0.1, 10, np.array([0.5]))
    assert bias.tolist() == [60 + 10]  # 3 / 0.05, and minus 10 * (1 - 2)
    assert requantization.multipliers(0.1, np.array([0.5]), 0.2).tolist() == [0.25 * 256]
    assert requantization.multipliers(0.5, np.array([0.5]), None).tolist() == [0.25]


@by_name
def test_float16_kernels_equal_pytorch(algorithm: ModuleType) -> None:
    half = [ConvWorkload(**{**vars(workload), "dtype": "float16"}) for workload in grid()[::4]]
    served = [workload for workload in half if not algorithm.unsupported(workload)]
    kernels = compiled(algorithm, served, resolve(config.Target(name="host")).code)
    random = np.random.default_rng(0)
    for workload in served:
        data, weight, bias, residual = (
            random.standard_normal(shape).astype("float16")
            for shape in (
                workload.input_shape,
                workload.weight_shape,
                workload.out_channels,
                workload.output_shape,
            )
        )
        placed = laid_out(algorithm, workload)
        operands = [physical(data, placed.input_block), *algorithm.pack_weight(placed, weight)]
        operands += [bias] * workload.bias
        operands += [physical(residual, placed.output_block)] * workload.residual
        shape = physical_shape(workload.output_shape, placed.output_block)
        output = tvm.runtime.tensor(np.zeros(shape, "float16"))
        kernels[workload.key](*[tvm.runtime.tensor(array) for array in operands], output)
        top, left, bottom, right = workload.padding
        expected = torch.nn.functional.conv2d(
            torch.nn.functional.pad(torch.from_numpy(data).float(), (left, right, top, bottom)),
            torch.from_numpy(weight).float(),
            torch.from_numpy(bias).float() if workload.bias else None,
            stride=workload.stride,
            dilation=workload.dilation,
            groups=workload.groups,
        )
        expected = expected + torch.from_numpy(residual).float() if workload.residual else expected
        expected = ACTIVATIONS[workload.activation](expected)
        found = logical(output.numpy()).astype("float32")
        np.testing.assert_allclose(found, expected.numpy(), rtol=2e-3, atol=2e-3)
