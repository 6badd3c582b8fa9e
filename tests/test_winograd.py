"""Winograd kernels against PyTorch, for the layers that they serve; the reasons for those that they don't."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvm_levels import by_examples, by_level
from test_algorithms import REGISTERS, grid, largest_error, third_of_the_grid, tiled_for, workloads

from dlas import config
from dlas.algorithms.activation import RELU6_LIMIT
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.testing.algorithm import LLVM_LEVEL, compiled

MAX_ERROR = {"winograd_f2": 1e-5, "winograd_f4": 1e-4}
"""In float32, of the largest output."""

FLOAT16_ERROR = 2e-3

DEEP = ConvWorkload(1, 512, 7, 9, 32, (3, 3), padding=(1, 1, 1, 1), bias=True, residual=True)

by_name = pytest.mark.parametrize("name", MAX_ERROR)


def algorithm(name: str) -> ModuleType:
    return ALGORITHMS.load(name)


def as_served(workload: ConvWorkload, channels: int = 1) -> ConvWorkload:
    """The 3x3, stride 1 layer with the workload's other traits and `channels` times its channels."""
    return replace(
        workload,
        in_channels=workload.in_channels * channels,
        out_channels=workload.out_channels * channels,
        height=max(3, workload.height),
        width=max(3, workload.width),
        kernel=(3, 3),
        stride=(1, 1),
        dilation=(1, 1),
        groups=1,
    )


def assert_equal_to_pytorch(
    name: str, layers: list[ConvWorkload], target: CodeTarget, level: int = LLVM_LEVEL
) -> None:
    built = compiled(algorithm(name), layers, target, level)
    errors = {layer: largest_error(built, algorithm(name), layer) for layer in layers}
    wrong = {layer.key: error for layer, error in errors.items() if not error < allowed(name, layer)}
    assert wrong == {}


def allowed(name: str, layer: ConvWorkload) -> float:
    """More after relu6: it cuts the largest output, while the sums have a deviation of sqrt(9 * channels)."""
    largest_sum = 3 * math.sqrt(9 * layer.in_channels)
    cut = max(1.0, largest_sum / RELU6_LIMIT) if layer.activation == "relu6" else 1.0
    return MAX_ERROR[name] * cut


@by_name
def test_kernels_of_the_grid_equal_pytorch(name: str) -> None:
    layers = [as_served(workload) for workload in grid()[::4]]
    assert_equal_to_pytorch(name, [*layers, DEEP], resolve(config.Target(name="host")).code)


@pytest.mark.slow
@pytest.mark.parametrize("registers", REGISTERS)
@by_level
@by_name
def test_kernels_tiled_for_any_cpu_equal_pytorch(name: str, level: int, registers: str) -> None:
    layers = [as_served(workload) for workload in third_of_the_grid(registers)]
    assert_equal_to_pytorch(name, layers, tiled_for(registers), level)


@pytest.mark.slow
@by_examples(10, 20)
@by_name
def test_random_layers_equal_pytorch(name: str, level: int, examples: int) -> None:
    @settings(max_examples=examples, derandomize=True)
    @given(
        workload=workloads(),
        channels=st.sampled_from([1, 4, 8]),
        registers=st.sampled_from(sorted(REGISTERS)),
        cores=st.sampled_from([1, 2, 8]),
    )
    def check(workload: ConvWorkload, channels: int, registers: str, cores: int) -> None:
        target = replace(tiled_for(registers), cores=cores)
        assert_equal_to_pytorch(name, [as_served(workload, channels)], target, level)

    check()


@by_name
def test_float16_sums_in_float32(name: str) -> None:
    layer = replace(DEEP, dtype="float16")
    built = compiled(algorithm(name), [layer], resolve(config.Target(name="host")).code)
    assert largest_error(built, algorithm(name), layer) < FLOAT16_ERROR


@by_name
def test_weights_are_transformed_in_float64(name: str) -> None:
    """A filter of one channel by 1/3: each of its transformed values is the float32 nearest to the exact."""
    layer = ConvWorkload(1, 1, 8, 8, 1, (3, 3))
    (packed,) = algorithm(name).pack_weight(layer, np.full(layer.weight_shape, 1 / 3, np.float32))
    sums = np.asarray(algorithm(name).TRANSFORM.filter).sum(axis=1)
    exact = np.float64(np.float32(1 / 3)) * np.outer(sums, sums)
    np.testing.assert_allclose(packed.ravel(), exact.ravel(), rtol=2**-24)


@by_name
@given(workload=workloads())
def test_every_other_kernel_is_refused(name: str, workload: ConvWorkload) -> None:
    traits = (workload.kernel, workload.stride, workload.dilation, workload.groups)
    assert (algorithm(name).unsupported(workload) == "") == (traits == ((3, 3), (1, 1), (1, 1), 1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kernel": (3, 1)}, "3x3"),
        ({"kernel": (5, 5)}, "3x3"),
        ({"stride": (2, 2)}, "stride"),
        ({"stride": (1, 2)}, "stride"),
        ({"dilation": (2, 2)}, "dilated"),
        ({"groups": 4}, "groups"),
        ({"dtype": "int8"}, "int8"),
    ],
)
@by_name
def test_a_refusal_names_its_reason(name: str, changes: dict[str, object], reason: str) -> None:
    layer = ConvWorkload(1, 16, 12, 12, 16, (3, 3))
    assert algorithm(name).unsupported(layer) == ""
    assert reason in algorithm(name).unsupported(replace(layer, **changes))
