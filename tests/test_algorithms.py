"""Every algorithm's kernels against PyTorch, over a grid of shapes and of CPUs that they are tiled for."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from llvm_levels import by_examples, by_level

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import registry
from dlas.testing import check_algorithm
from dlas.testing.algorithm import LLVM_LEVEL, compiled, error_of

ALGORITHMS = [registry.ALGORITHMS.load(name) for name in ("direct", "gemm", "spatial_pack")]

SHAPES = [  # in channels, out channels, kernel, stride, padding, groups, dilation
    (3, 20, 7, 2, 3, 1, 1),
    (16, 24, 1, 1, 0, 1, 1),
    (16, 24, 1, 2, 0, 1, 1),
    (8, 8, 3, 1, 1, 8, 1),
    (12, 24, 3, 1, 1, 4, 1),
    (32, 64, 3, 1, 1, 2, 1),
    (24, 36, 3, 2, 1, 3, 1),
    (5, 7, 3, 1, 2, 1, 2),
    (1, 1, 1, 1, 0, 1, 1),
    (33, 17, 5, 3, 2, 1, 1),
]

PLANES = [(9, 13), (16, 16), (7, 7)]

EPILOGUES = [(True, False, "relu"), (False, True, ""), (True, True, "relu6"), (False, False, "")]

ACTIVATIONS = {"": lambda x: x, "relu": torch.relu, "relu6": torch.nn.functional.relu6}

REGISTERS = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32)}


def grid() -> list[ConvWorkload]:
    workloads = []
    for index, (i, o, kernel, stride, padding, groups, dilation) in enumerate(SHAPES):
        for plane, (height, width) in enumerate(PLANES):
            bias, residual, activation = EPILOGUES[(index + plane) % len(EPILOGUES)]
            workloads.append(
                ConvWorkload(
                    batch=1 + (plane == 0),
                    in_channels=i,
                    height=height,
                    width=width,
                    out_channels=o,
                    kernel=(kernel, kernel),
                    stride=(stride, stride),
                    padding=(padding,) * 4,
                    dilation=(dilation, dilation),
                    groups=groups,
                    bias=bias,
                    residual=residual,
                    activation=activation,
                )
            )
    return workloads


def third_of_the_grid(registers: str) -> list[ConvWorkload]:
    """Another one for each kind of registers: together they are the whole."""
    return grid()[list(REGISTERS).index(registers) :: len(REGISTERS)]


def tiled_for(registers: str) -> CodeTarget:
    """This machine, with its schedules tiled for other registers: the code stays runnable here."""
    here = resolve(config.Target(name="host")).code
    vector_bytes, vector_registers = REGISTERS[registers]
    values = {**vars(here), "vector_bytes": vector_bytes, "vector_registers": vector_registers}
    return CodeTarget(**values)


def largest_error(built: tvm.runtime.Executable, algorithm: ModuleType, workload: ConvWorkload) -> float:
    """Of the kernel against PyTorch, relative to the largest output."""
    return error_of(built[workload.key], algorithm, workload)


def assert_equal_to_pytorch(
    algorithm: ModuleType, workloads: list[ConvWorkload], target: CodeTarget, level: int = LLVM_LEVEL
) -> None:
    served = check_algorithm(algorithm, workloads, target, llvm_level=level)
    assert len(served) >= 0.9 * len(workloads)


by_name = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=lambda module: registry.ALGORITHMS.name(module.__name__)
)


@by_name
def test_scheduled_kernels_equal_pytorch(algorithm: ModuleType) -> None:
    every_other_shape = grid()[:: len(PLANES) + 1]
    assert_equal_to_pytorch(algorithm, every_other_shape, resolve(config.Target(name="host")).code)


@pytest.mark.slow
@pytest.mark.parametrize("registers", REGISTERS)
@by_level
@by_name
def test_kernels_tiled_for_any_cpu_equal_pytorch(algorithm: ModuleType, level: int, registers: str) -> None:
    assert_equal_to_pytorch(algorithm, third_of_the_grid(registers), tiled_for(registers), level)


@pytest.mark.slow
@by_examples(10, 25)
@by_name
def test_random_workloads_equal_pytorch(algorithm: ModuleType, level: int, examples: int) -> None:
    @settings(max_examples=examples, derandomize=True)
    @given(workload=workloads(), registers=st.sampled_from(sorted(REGISTERS)))
    def check(workload: ConvWorkload, registers: str) -> None:
        if not algorithm.unsupported(workload):
            kernels = compiled(algorithm, [workload], tiled_for(registers), level)
            assert largest_error(kernels, algorithm, workload) < 1e-5

    check()


@st.composite
def workloads(draw: st.DrawFn) -> ConvWorkload:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    least_height, least_width = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    return ConvWorkload(
        batch=draw(st.sampled_from([1, 4])),
        in_channels=groups * draw(st.integers(1, 20)),
        height=draw(st.integers(least_height, 24)),
        width=draw(st.integers(least_width, 24)),
        out_channels=groups * draw(st.integers(1, 40)),
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=(top, left, bottom, right),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        activation=draw(st.sampled_from(["", "relu", "relu6"])),
    )


@given(workloads())
def test_a_workload_is_found_again_by_its_key(workload: ConvWorkload) -> None:
    assert ConvWorkload.from_key(workload.key) == workload


@given(workloads())
@settings(max_examples=30)
def test_macs_are_those_that_pytorch_counts(workload: ConvWorkload) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    top, left, bottom, right = workload.padding
    with FlopCounterMode(display=False) as counter:
        output = torch.nn.functional.conv2d(
            torch.nn.functional.pad(torch.zeros(workload.input_shape), (left, right, top, bottom)),
            torch.zeros(workload.weight_shape),
            stride=workload.stride,
            dilation=workload.dilation,
            groups=workload.groups,
        )
    assert tuple(output.shape) == workload.output_shape
    assert 2 * workload.macs == counter.get_total_flops()


def test_gemm_names_the_reason_for_refusing_a_depthwise_layer() -> None:
    depthwise = ConvWorkload(1, 8, 4, 4, 8, (3, 3), padding=(1, 1, 1, 1), groups=8)
    assert "depthwise" in registry.ALGORITHMS.load("gemm").unsupported(depthwise)
    assert registry.ALGORITHMS.load("direct").unsupported(depthwise) == ""
