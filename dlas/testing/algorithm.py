"""Conformance suite of algorithms of convolution."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.algorithms.layout import physical_shape
from dlas.interfaces.algorithm import Algorithm, TEAlgorithm, TensorIRAlgorithm, TunableAlgorithm
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import contracts

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

LLVM_LEVEL = 3
"""LLVM's level of optimization in what bundles hold."""

MAX_ERROR = 1e-5
"""Largest error of a float32 kernel, relative to its largest output: sums in another order differ by about
1e-6."""


def check_algorithm(
    algorithm: Algorithm,
    workloads: Sequence[ConvWorkload],
    target: CodeTarget | None = None,
    largest_error: float = MAX_ERROR,
    llvm_level: int = LLVM_LEVEL,
) -> list[ConvWorkload]:
    """Build the untuned kernels of the workloads that it serves and compare with PyTorch; these are returned.

    AssertionError where an output is off by more than `largest_error` of the largest, and where anything else
    is not as the interface says. The target is this machine where none is given; its code has to run here.
    A lower level of LLVM builds the same kernels in less time.
    Integer kernels are not compared: what they should give depends on how a network was quantized.
    """
    target = this_machine() if target is None else target
    ways = [way for way in (TEAlgorithm, TensorIRAlgorithm) if isinstance(algorithm, way)]
    assert len(ways) == 1, f"it is written in TE or in TensorIR: {contracts.of_module(algorithm, Algorithm)}"
    tunable = [TunableAlgorithm] if isinstance(algorithm, TunableAlgorithm) else []
    lacking = [problem for way in (*ways, *tunable) for problem in contracts.of_module(algorithm, way)]
    assert not lacking, "; ".join(lacking)
    served = [workload for workload in workloads if algorithm.unsupported(workload) == ""]
    for workload in served:
        check_packing(algorithm, workload)
        if isinstance(algorithm, TunableAlgorithm):
            check_parameters(algorithm, laid_out(algorithm, workload), target)
    compared = [workload for workload in served if workload.dtype != "int8"]
    found = compiled(algorithm, compared, target, llvm_level)
    errors = {workload.key: error_of(found[workload.key], algorithm, workload) for workload in compared}
    wrong = {key: error for key, error in errors.items() if not error < largest_error}
    assert not wrong, f"outputs are off by more than {largest_error} of the largest: {wrong}"
    return served


def check_packing(algorithm: Algorithm, workload: ConvWorkload) -> None:
    """AssertionError unless layouts and packed weights are as the interface says."""
    input_block, output_block = algorithm.layouts(workload)
    assert workload.in_channels % input_block == 0, "blocks divide the channels"
    assert workload.out_channels % output_block == 0, "blocks divide the channels"
    weight = random_numbers(workload)[1]
    before = weight.copy()
    first, second = (algorithm.pack_weight(laid_out(algorithm, workload), weight) for _ in range(2))
    assert isinstance(first, tuple), "packed weights are a tuple of arrays"
    assert all(isinstance(array, np.ndarray) for array in first), "packed weights are a tuple of arrays"
    assert np.array_equal(weight, before), "it changes the weight that it is given"
    same = all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert same, "it packs a weight in another way the second time"


def check_parameters(algorithm: TunableAlgorithm, workload: ConvWorkload, target: CodeTarget) -> None:
    """AssertionError unless a tuner can write them down, and the first ones are the untuned kernel's."""
    import tvm_ffi

    offered = algorithm.parameters(workload, target)
    assert offered, "the untuned kernel's own come first"
    written = [json.dumps(asdict(each), sort_keys=True) for each in offered]
    assert len(set(written)) == len(written), "parameters are told apart by their fields"
    kernel = algorithm.kernel(workload, target)
    first = algorithm.kernel_with(workload, target, offered[0])
    assert tvm_ffi.structural_equal(kernel, first), "the first parameters give another kernel than `kernel`"


def this_machine() -> CodeTarget:
    """Code target of this machine."""
    from dlas import config
    from dlas.hardware.targets.resolving import resolve

    return resolve(config.Target(name="host")).code


def laid_out(algorithm: Algorithm, workload: ConvWorkload) -> ConvWorkload:
    """The workload with its activations in the layouts that the algorithm asks for."""
    input_block, output_block = algorithm.layouts(workload)
    return replace(workload, input_block=input_block, output_block=output_block)


def compiled(
    algorithm: Algorithm,
    workloads: Sequence[ConvWorkload],
    target: CodeTarget,
    llvm_level: int = LLVM_LEVEL,
) -> Any:
    """The untuned kernels of the workloads for a CPU, by key."""
    from dlas.interfaces.program import ConvLayer
    from dlas.systems.program import kernels

    name = getattr(algorithm, "__name__", "")
    layers = {each.key: ConvLayer("", laid_out(algorithm, each), name, name) for each in workloads}
    functions = {key: kernels.untuned(layer, target) for key, layer in layers.items()}
    return built(functions, target, llvm_level) if functions else {}


def built(kernels: Mapping[str, Any], target: CodeTarget, llvm_level: int = LLVM_LEVEL) -> Any:
    """The scheduled kernels, compiled for a CPU as one module, by the same names."""
    import tvm

    from dlas.hardware.targets.llvm import compiler_options

    options = {**compiler_options(target), "opt-level": llvm_level}
    named = {name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()}
    return tvm.compile(tvm.IRModule(named), tvm.target.Target(options))


def error_of(kernel: Any, algorithm: Algorithm, workload: ConvWorkload) -> float:
    """Error of the kernel against PyTorch, for floating-point workloads: relative to the largest output."""
    import torch
    import tvm
    from torch.nn import functional

    data, weight, bias, residual = random_numbers(workload)
    top, left, bottom, right = workload.padding
    expected = functional.conv2d(
        functional.pad(torch.from_numpy(data), (left, right, top, bottom)),
        torch.from_numpy(weight),
        torch.from_numpy(bias) if workload.bias else None,
        stride=workload.stride,
        dilation=workload.dilation,
        groups=workload.groups,
    )
    expected = expected + torch.from_numpy(residual) if workload.residual else expected
    activations = {"": lambda x: x, "relu": torch.relu, "relu6": functional.relu6}
    expected = activations[workload.activation](expected)
    placed = laid_out(algorithm, workload)
    inputs = [
        physical(data, placed.input_block),
        *algorithm.pack_weight(placed, weight),
        *[bias] * workload.bias,
        *[physical(residual, placed.output_block)] * workload.residual,
    ]
    shape = physical_shape(workload.output_shape, placed.output_block)
    output = tvm.runtime.tensor(np.full(shape, np.nan, workload.dtype))
    kernel(*[tvm.runtime.tensor(array) for array in inputs], output)
    error = np.abs(logical(output.numpy()) - expected.numpy()).max()
    return float(error / max(expected.abs().max().item(), 1e-6))


def random_numbers(workload: ConvWorkload) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An input NCHW, a weight OIHW, a bias and a residual NCHW."""
    random = np.random.default_rng(0)
    shapes = (workload.input_shape, workload.weight_shape, (workload.out_channels,), workload.output_shape)
    data, weight, bias, residual = (random.standard_normal(shape).astype(workload.dtype) for shape in shapes)
    return data, weight, bias, residual


def physical(array: np.ndarray, block: int) -> np.ndarray:
    """An NCHW array as it lies in memory in blocks of `block` channels."""
    batch, channels, height, width = array.shape
    blocked = array.reshape(batch, channels // block, block, height, width).transpose(0, 1, 3, 4, 2)
    return array if block == 1 else np.ascontiguousarray(blocked)


def logical(array: np.ndarray) -> np.ndarray:
    """`physical`'s array as NCHW again."""
    if array.ndim == 4:
        return array
    batch, _, height, width, _ = array.shape
    return array.transpose(0, 1, 4, 2, 3).reshape(batch, -1, height, width)
