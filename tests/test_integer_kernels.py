"""The integer kernels by dot products against NumPy's integers, and the instructions that they compile to."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import ModuleType

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from llvm_levels import by_examples, by_level
from test_algorithms import workloads
from test_integer_convolution import by_numpy, integer_grid, random_operands

from dlas import config
from dlas.hardware.targets.fitting import misfits
from dlas.hardware.targets.machine import this_machine
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import registry
from dlas.testing.algorithm import LLVM_LEVEL, built, compiled, laid_out, physical

ALGORITHMS = [registry.ALGORITHMS.load(f"{name}_int8") for name in ("direct", "gemm", "spatial_pack")]

by_name = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=lambda module: registry.ALGORITHMS.name(module.__name__)
)

LAYER = ConvWorkload(1, 32, 12, 12, 48, (3, 3), padding=(1, 1, 1, 1), dtype="int8", bias=True, output_zero=3)
DEPTHWISE = replace(LAYER, out_channels=32, groups=32)

PARAMETERS = 4
"""Of those that a tuner may choose, tried at random."""

INSTRUCTIONS = [  # triple, CPU, what sums products
    ("x86_64-linux-gnu", "znver4", "vpdpbusd"),
    ("x86_64-linux-gnu", "alderlake", "vpdpbusd"),
    ("x86_64-linux-gnu", "skylake-avx512", "vpmaddwd"),
    ("x86_64-linux-gnu", "znver3", "vpmaddwd"),
    ("x86_64-linux-gnu", "ivybridge", "vpmaddwd"),
    ("x86_64-linux-gnu", "x86-64", "pmaddwd"),
    ("aarch64-linux-gnu", "neoverse-v1", "usdot"),
    ("aarch64-linux-gnu", "cortex-a76", "sdot"),
    ("aarch64-linux-gnu", "cortex-a72", "sadalp"),
]


def target_of(cpu: str | None) -> CodeTarget:
    target = resolve(config.Target(name="host", cpu=cpu)).code
    if missing := misfits(target, this_machine()):
        pytest.skip(missing[0])
    return target


def outputs(
    algorithm: ModuleType,
    layers: list[tuple[ConvWorkload, dict[str, np.ndarray]]],
    target: CodeTarget,
    level: int = LLVM_LEVEL,
) -> list[np.ndarray]:
    """NCHW, of kernels built together."""
    kernels = compiled(algorithm, [workload for workload, _ in layers], target, level)
    return [run(kernels[workload.key], algorithm, workload, operands) for workload, operands in layers]


def run(
    kernel: tvm.runtime.Module,
    algorithm: ModuleType,
    workload: ConvWorkload,
    operands: dict[str, np.ndarray],
) -> np.ndarray:
    placed = laid_out(algorithm, workload)
    arrays = [
        physical(operands["data"], placed.input_block),
        *algorithm.pack_weight(placed, operands["weight"]),
    ]
    arrays += [operands["bias"], operands["multiplier"]]
    if workload.residual:
        arrays += [physical(operands["residual"], placed.output_block), operands["residual_multiplier"]]
    shape = physical(np.zeros(workload.output_shape, "uint8"), placed.output_block).shape
    output = tvm.runtime.tensor(np.zeros(shape, workload.output_dtype))
    kernel(*[tvm.runtime.tensor(array) for array in arrays], output)
    return output.numpy()


def assert_equal_to_numpy(
    algorithm: ModuleType, layers: list[ConvWorkload], target: CodeTarget, level: int = LLVM_LEVEL
) -> None:
    served = [
        (workload, random_operands(workload)) for workload in layers if not algorithm.unsupported(workload)
    ]
    for (workload, operands), output in zip(served, outputs(algorithm, served, target, level), strict=True):
        expected = physical(by_numpy(workload, operands), laid_out(algorithm, workload).output_block)
        if workload.output_zero is None:
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-3, err_msg=workload.key)
        else:
            np.testing.assert_array_equal(output, expected, err_msg=workload.key)


@by_name
def test_kernels_equal_numpy_bit_for_bit(algorithm: ModuleType) -> None:
    assert_equal_to_numpy(algorithm, integer_grid()[::4], target_of(None))


@by_name
@pytest.mark.parametrize("cpu", [None, "haswell"])
def test_linear_layers_equal_numpy_bit_for_bit(algorithm: ModuleType, cpu: str | None) -> None:
    shapes = [(1, 3, 10), (1, 7, 3), (1, 64, 10), (5, 33, 17), (2, 65, 1), (3, 1, 48), (1, 130, 80)]
    layer = ConvWorkload(1, 1, 1, 1, 1, (1, 1), dtype="int8", bias=True, input_zero=7, output_zero=128)
    layers = [replace(layer, batch=n, in_channels=i, out_channels=o) for n, i, o in shapes]
    target = target_of(cpu)
    drawn = [(each, random_operands(each)) for each in layers]
    for (each, operands), found in zip(drawn, outputs(algorithm, drawn, target), strict=True):
        data, weight = (operands[name][..., 0, 0].astype(np.int64) for name in ("data", "weight"))
        products = (data @ weight.T + operands["bias"]).astype(np.float32) * operands["multiplier"]
        expected = np.clip((np.rint(products).astype(np.int64) + 128) // 256 + 128, 0, 255)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected, err_msg=each.key)


@by_name
def test_kernels_without_dot_products_equal_numpy_bit_for_bit(algorithm: ModuleType) -> None:
    assert_equal_to_numpy(algorithm, integer_grid()[1::5], target_of("haswell"))


@by_name
@pytest.mark.parametrize("layer", [LAYER, DEPTHWISE], ids=["convolution", "depthwise"])
@pytest.mark.parametrize("cpu", [None, "haswell"])
@by_level
def test_kernels_with_any_parameters_equal_numpy_bit_for_bit(
    algorithm: ModuleType, layer: ConvWorkload, cpu: str | None, level: int
) -> None:
    if algorithm.unsupported(layer):
        pytest.skip(algorithm.unsupported(layer))
    target, placed, operands = target_of(cpu), laid_out(algorithm, layer), random_operands(layer)
    expected = physical(by_numpy(layer, operands), placed.output_block)
    offered = algorithm.parameters(placed, target)
    assert (
        algorithm.kernel_with(placed, target, offered[0]).script()
        == algorithm.kernel(placed, target).script()
    )
    chosen = dict(enumerate(Random(0).sample(offered, min(PARAMETERS, len(offered)))))
    written = {f"kernel_{place}": algorithm.kernel_with(placed, target, one) for place, one in chosen.items()}
    kernels = built(written, target, level)
    for place, one in chosen.items():
        output = run(kernels[f"kernel_{place}"], algorithm, layer, operands)
        np.testing.assert_array_equal(output, expected, err_msg=str(one))


@pytest.mark.slow
@pytest.mark.parametrize("cpu", [None, "haswell", "x86-64"])
@by_level
@by_name
def test_the_grid_equals_numpy_on_any_cpu_bit_for_bit(
    algorithm: ModuleType, level: int, cpu: str | None
) -> None:
    assert_equal_to_numpy(algorithm, integer_grid()[1::2], target_of(cpu), level)


@st.composite
def integer_layers(draw: st.DrawFn) -> ConvWorkload:
    drawn = draw(workloads().filter(lambda workload: workload.activation != "relu6"))
    channels = draw(st.integers(1, 40)) if draw(st.booleans()) else None
    shape = {"in_channels": channels, "out_channels": channels, "groups": channels} if channels else {}
    zeros = {name: draw(st.integers(0, 255)) for name in ("input_zero", "output_zero")}
    zeros["residual_zero"] = draw(st.integers(0, 255)) if drawn.residual else 0
    return replace(drawn, **shape, **zeros, dtype="int8", bias=True)


@pytest.mark.slow
@by_examples(10, 20)
@by_name
def test_random_layers_equal_numpy_bit_for_bit(algorithm: ModuleType, level: int, examples: int) -> None:
    @settings(max_examples=examples, derandomize=True)
    @given(layer=integer_layers(), cpu=st.sampled_from([None, "haswell"]))
    def check(layer: ConvWorkload, cpu: str | None) -> None:
        assert_equal_to_numpy(algorithm, [layer], target_of(cpu), level)

    check()


@by_name
@pytest.mark.parametrize("cpu", [None, "haswell"])
def test_the_largest_sums_are_exact(algorithm: ModuleType, cpu: str | None) -> None:
    """Every input and weight at its bound: instructions that saturate would be found out."""
    for limit in (127, 64):
        workload = replace(LAYER, weight_limit=limit)
        signs = np.random.default_rng(0).choice([-1, 1], workload.weight_shape)
        signs[:16], signs[16:32] = 1, -1
        operands = random_operands(workload)
        operands["data"][:] = 255
        operands["weight"] = (limit * signs).astype("int8")
        operands["multiplier"] = np.full(
            workload.out_channels, 256 * 255 / (2 * 288 * 255 * limit), "float32"
        )
        expected = physical(by_numpy(workload, operands), laid_out(algorithm, workload).output_block)
        [output] = outputs(algorithm, [(workload, operands)], target_of(cpu))
        np.testing.assert_array_equal(output, expected)


def assembly(algorithm: ModuleType, workload: ConvWorkload, triple: str, cpu: str) -> str:
    target = resolve(config.Target(name="board", triple=triple, cpu=cpu, cores=1)).code
    text: str = compiled(algorithm, [workload], target).mod.inspect_source("asm")
    return text


@pytest.mark.parametrize(("triple", "cpu", "instruction"), INSTRUCTIONS, ids=lambda value: value)
def test_each_cpu_gets_the_instructions_it_has(triple: str, cpu: str, instruction: str) -> None:
    text = assembly(ALGORITHMS[0], LAYER, triple, cpu)
    assert f"\t{instruction}\t" in text


@pytest.mark.parametrize("cpu", ["skylake-avx512", "znver3", "ivybridge"])
def test_weights_of_seven_bits_get_twice_the_products(cpu: str) -> None:
    narrow = replace(LAYER, weight_limit=64)
    assert "\tvpmaddubsw\t" in assembly(ALGORITHMS[0], narrow, "x86_64-linux-gnu", cpu)
    assert "\tvpmaddubsw\t" not in assembly(ALGORITHMS[0], LAYER, "x86_64-linux-gnu", cpu)


@pytest.mark.parametrize(
    ("triple", "cpu", "instruction"),
    [
        ("x86_64-linux-gnu", "znver4", "vpdpbusd"),
        ("x86_64-linux-gnu", "znver3", "vfmadd231ps"),
        ("aarch64-linux-gnu", "cortex-a76", "sdot"),
        ("aarch64-linux-gnu", "cortex-a72", "fmla"),
    ],
)
@pytest.mark.parametrize("algorithm", [ALGORITHMS[0], ALGORITHMS[2]], ids=["planes", "blocks"])
def test_depthwise_layers_too(algorithm: ModuleType, triple: str, cpu: str, instruction: str) -> None:
    assert f"\t{instruction}\t" in assembly(algorithm, DEPTHWISE, triple, cpu)


def test_gemm_names_the_reason_for_refusing_a_depthwise_layer() -> None:
    assert "depthwise" in ALGORITHMS[1].unsupported(DEPTHWISE)
    assert [algorithm.unsupported(DEPTHWISE) for algorithm in (ALGORITHMS[0], ALGORITHMS[2])] == ["", ""]
