"""Sparse kernels against PyTorch, and their weights' arrays against SciPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from types import ModuleType

import numpy as np
import pytest
import scipy.sparse
import torch
import tvm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from llvm_levels import by_examples, by_level
from test_algorithms import ACTIVATIONS, REGISTERS, grid, third_of_the_grid, tiled_for, workloads

from dlas.algorithms.shared.sparse.formats import (
    block_of,
    pack_block_sparse_rows,
    pack_compressed_sparse_rows,
    pack_kept_channels,
    segment_channels,
    segment_count,
)
from dlas.algorithms.shared.sparse.views import Views, im2col, row_copies
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import registry
from dlas.testing.algorithm import LLVM_LEVEL, built, compiled

ALGORITHMS = [registry.ALGORITHMS.load(f"{name}_sparse") for name in ("direct", "gemm", "spatial_pack")]

BLOCKS = ("bsr8x1", "bsr4x1", "bsr1x4", "bsr2x2")

FORMATS = {"csr": ("csr",), "bsr": BLOCKS, "channel_index": ("channel_index",)}

SPARSITIES = (0.0, 0.5, 0.99, 1.0)

TINY_PLANES = [(1, 1), (2, 2), (4, 4)]


def pruned(workload: ConvWorkload, sparsity: float) -> np.ndarray:
    """Random OIHW weights of which each weight, block or channel is zero with probability `sparsity`."""
    random = np.random.default_rng(1)
    weight = random.standard_normal(workload.weight_shape).astype(np.float32)
    if workload.format == "channel_index":
        outputs, inputs = (random.random(count) >= sparsity for count in weight.shape[:2])
        kept = (outputs[:, None] & inputs)[:, :, None, None]
        return (weight * kept).astype(np.float32)
    rows, columns = block_of(workload)
    blocks = weight.reshape(workload.out_channels // rows, rows, -1, columns)
    kept = random.random((blocks.shape[0], 1, blocks.shape[2], 1)) >= sparsity
    return (blocks * kept).astype(np.float32).reshape(workload.weight_shape)


def laid_out(activation: np.ndarray, block: int) -> np.ndarray:
    """An NCHW activation as it lies in memory with blocks of `block` channels."""
    if block == 1:
        return activation
    batch, channels, height, width = activation.shape
    blocks = activation.reshape(batch, channels // block, block, height, width)
    return np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2))


def largest_error(
    kernel: tvm.runtime.Module, algorithm: ModuleType, workload: ConvWorkload, sparsity: float
) -> float:
    """Of the kernel against PyTorch, relative to the largest output."""
    random = np.random.default_rng(0)
    data, bias, residual = (
        random.standard_normal(shape).astype(np.float32)
        for shape in (workload.input_shape, workload.out_channels, workload.output_shape)
    )
    weight = pruned(workload, sparsity)
    top, left, bottom, right = workload.padding
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(torch.from_numpy(data), (left, right, top, bottom)),
        torch.from_numpy(weight),
        torch.from_numpy(bias) if workload.bias else None,
        stride=workload.stride,
        dilation=workload.dilation,
        groups=workload.groups,
    )
    expected = expected + torch.from_numpy(residual) if workload.residual else expected
    expected = laid_out(ACTIVATIONS[workload.activation](expected).numpy(), workload.output_block)
    arguments = [
        laid_out(data, workload.input_block),
        *algorithm.pack_weight(workload, weight),
        *[bias] * workload.bias,
        *[laid_out(residual, workload.output_block)] * workload.residual,
    ]
    output = tvm.runtime.tensor(np.full_like(expected, np.nan))
    kernel(*[tvm.runtime.tensor(array) for array in arguments], output)
    return float(np.abs(output.numpy() - expected).max() / max(np.abs(expected).max(), 1e-6))


def assert_equal_to_pytorch(
    algorithm: ModuleType, workloads: list[ConvWorkload], target: CodeTarget, level: int = LLVM_LEVEL
) -> None:
    kernels = compiled(algorithm, workloads, target, level)
    errors = {
        (workload.key, sparsity): largest_error(kernels[workload.key], algorithm, workload, sparsity)
        for workload in workloads
        for sparsity in SPARSITIES
    }
    assert errors
    assert {key: error for key, error in errors.items() if not error < 1e-5} == {}


def served(
    algorithm: ModuleType, formats: Sequence[str], workloads: Iterable[ConvWorkload]
) -> list[ConvWorkload]:
    """Each of the workloads in the next of the formats that serves it."""
    found = []
    for index, workload in enumerate(workloads):
        turned = [
            replace(workload, format=formats[(index + step) % len(formats)]) for step in range(len(formats))
        ]
        serving = [candidate for candidate in turned if not algorithm.unsupported(candidate)]
        found += [placed(algorithm, candidate) for candidate in serving[:1]]
    return found


def placed(algorithm: ModuleType, workload: ConvWorkload) -> ConvWorkload:
    """The workload in the algorithm's layouts."""
    input_block, output_block = algorithm.layouts(workload)
    return replace(workload, input_block=input_block, output_block=output_block)


PAIRS = [
    pytest.param(algorithm, formats, id=f"{registry.ALGORITHMS.name(algorithm.__name__)}-{name}")
    for algorithm in ALGORITHMS
    for name, formats in FORMATS.items()
]

by_parameters = pytest.mark.parametrize(
    ("tried", "level"), [(2, 0), pytest.param(4, LLVM_LEVEL, marks=pytest.mark.exhaustive)]
)
"""How many are tried at random of those that a tuner may choose, and LLVM's level."""

by_format = pytest.mark.parametrize(("algorithm", "formats"), PAIRS)


def number_of(algorithm: ModuleType, formats: Sequence[str]) -> int:
    """Among the pairs of algorithm and formats."""
    return ALGORITHMS.index(algorithm) * len(FORMATS) + [*FORMATS.values()].index(tuple(formats))


@by_format
def test_kernels_equal_pytorch(algorithm: ModuleType, formats: Sequence[str]) -> None:
    fewer = grid()[number_of(algorithm, formats) :: 10]
    assert_equal_to_pytorch(algorithm, served(algorithm, formats, fewer), tiled_for("avx512"))


@by_format
def test_kernels_of_tiny_planes_equal_pytorch(algorithm: ModuleType, formats: Sequence[str]) -> None:
    linear = ConvWorkload(1, 96, 1, 1, 40, (1, 1), bias=True)
    convolution = replace(linear, kernel=(3, 3), padding=(1, 1, 1, 1), activation="relu")
    tiny = [replace(convolution, height=height, width=width) for height, width in TINY_PLANES]
    assert_equal_to_pytorch(algorithm, served(algorithm, formats, [linear, *tiny]), tiled_for("avx2"))


@by_level
@by_format
def test_planes_of_many_runs_equal_pytorch(algorithm: ModuleType, formats: Sequence[str], level: int) -> None:
    wide = ConvWorkload(2, 16, 11, 30, 32, (3, 3), padding=(1, 1, 1, 1), bias=True, residual=True)
    high = replace(wide, height=150, width=14)
    strided = replace(wide, height=29, width=57, stride=(2, 2), activation="relu")
    pointwise = replace(wide, height=31, width=40, kernel=(1, 1), padding=(0, 0, 0, 0))
    index = number_of(algorithm, formats)
    registers = sorted(REGISTERS)[(index + index // 3) % 3]
    many = [wide, high, strided, pointwise]
    assert_equal_to_pytorch(algorithm, served(algorithm, formats, many), tiled_for(registers), level)


@by_parameters
@by_format
def test_kernels_with_any_parameters_equal_pytorch(
    algorithm: ModuleType, formats: Sequence[str], tried: int, level: int
) -> None:
    convolution = ConvWorkload(2, 24, 13, 18, 32, (3, 3), padding=(1, 1, 1, 1), bias=True, residual=True)
    (layer,) = served(algorithm, formats, [convolution])
    index = number_of(algorithm, formats)
    target = tiled_for(sorted(REGISTERS)[index % 3])
    offered = algorithm.parameters(layer, target)
    assert (
        algorithm.kernel_with(layer, target, offered[0]).script() == algorithm.kernel(layer, target).script()
    )
    chosen = {f"kernel_{place}": one for place, one in enumerate(Random(index).sample(offered, tried))}
    written = {name: algorithm.kernel_with(layer, target, one) for name, one in chosen.items()}
    kernels = built(written, target, level)
    for name, one in chosen.items():
        assert largest_error(kernels[name], algorithm, layer, 0.8) < 1e-5, one


@pytest.mark.slow
@pytest.mark.parametrize("registers", REGISTERS)
@by_format
def test_kernels_tiled_for_any_cpu_equal_pytorch(
    algorithm: ModuleType, formats: Sequence[str], registers: str
) -> None:
    """A format's three algorithms share the grid."""
    part = third_of_the_grid(registers)[ALGORITHMS.index(algorithm) :: len(ALGORITHMS)]
    layers = served(algorithm, formats, part)
    assert_equal_to_pytorch(algorithm, layers, tiled_for(registers), level=0)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("registers", REGISTERS)
@by_format
def test_kernels_of_the_whole_grid_tiled_for_any_cpu_equal_pytorch(
    algorithm: ModuleType, formats: Sequence[str], registers: str
) -> None:
    assert_equal_to_pytorch(algorithm, served(algorithm, formats, grid()), tiled_for(registers))


@pytest.mark.slow
@by_examples(4, 24)
@by_format
def test_random_workloads_equal_pytorch(
    algorithm: ModuleType, formats: Sequence[str], level: int, examples: int
) -> None:
    @settings(max_examples=examples, derandomize=True)
    @given(
        drawn=workloads(),
        name=st.sampled_from(formats),
        registers=st.sampled_from(sorted(REGISTERS)),
        sparsity=st.sampled_from(SPARSITIES),
    )
    def check(drawn: ConvWorkload, name: str, registers: str, sparsity: float) -> None:
        workload = replace(drawn, format=name)
        assume(not algorithm.unsupported(workload))
        workload = placed(algorithm, workload)
        kernel = compiled(algorithm, [workload], tiled_for(registers), level)[workload.key]
        assert largest_error(kernel, algorithm, workload, sparsity) < 1e-5

    check()


@pytest.mark.parametrize("groups", [1, 2])
def test_weights_in_many_segments_equal_pytorch(groups: int) -> None:
    algorithm = registry.ALGORITHMS.load("gemm_sparse")
    one = ConvWorkload(1, 130, 9, 9, 48, (3, 3), padding=(1, 1, 1, 1), bias=True, format="csr")
    workload = replace(one, in_channels=one.in_channels * groups, groups=groups)
    _, _, pointers = algorithm.pack_weight(workload, pruned(workload, 0.5))
    assert len(pointers) > 2 * workload.out_channels + 1
    assert_equal_to_pytorch(algorithm, [workload], tiled_for("avx512"))


def test_few_weights_of_more_channels_than_an_offset_reaches_equal_pytorch() -> None:
    algorithm = registry.ALGORITHMS.load("direct_sparse")
    workload = ConvWorkload(1, 512, 30, 30, 8, (3, 3), padding=(1, 1, 1, 1), bias=True, format="csr")
    assert row_copies(workload).channel_size * workload.in_channels > np.iinfo(np.uint16).max
    assert_equal_to_pytorch(algorithm, [workload], tiled_for("avx512"))


by_views = pytest.mark.parametrize("view", [row_copies, im2col])


def columns_of(views: Views, offsets: np.ndarray, segment: int, segments: int) -> np.ndarray:
    """The columns of the matrix (O, I * H * W) whose inputs start at `offsets` of a segment."""
    columns = {offset: column for column, offset in enumerate(views.offsets.tolist())}
    first = segment * segment_channels(views.workload, segments) * views.channel_size
    return np.array([columns[first + offset] for offset in offsets.tolist()], dtype=np.int64)


def matrix_of(views: Views, values: np.ndarray, offsets: np.ndarray, pointers: np.ndarray) -> np.ndarray:
    """The dense matrix that SciPy finds in the packed segments, which it takes as so many `bsr_array`s."""
    workload = views.workload
    rows, columns = block_of(workload)
    shape = (workload.out_channels, int(np.prod(workload.weight_shape[1:])))
    block_rows = workload.out_channels // rows
    segments = (len(pointers) - 1) // block_rows
    total = np.zeros(shape, np.float32)
    for segment in range(segments):
        indptr = pointers[segment * block_rows : (segment + 1) * block_rows + 1]
        first, last = indptr[0], indptr[-1]
        blocks = values[first:last].transpose(0, 2, 1)
        indices = columns_of(views, offsets[first:last, 0], segment, segments) // columns
        total += scipy.sparse.bsr_array((blocks, indices, indptr - first), shape=shape).toarray()
    return total


@by_views
@settings(max_examples=40)
@given(workloads(), st.sampled_from(SPARSITIES), st.sampled_from(["csr", *BLOCKS]))
def test_packed_blocks_are_the_weights_to_scipy(
    view: Callable[[ConvWorkload], Views], workload: ConvWorkload, sparsity: float, name: str
) -> None:
    workload = replace(workload, format=name)
    rows, columns = block_of(workload)
    workload = replace(
        workload,
        out_channels=workload.out_channels * rows,
        in_channels=workload.in_channels * columns,
    )
    views, weight = view(workload), pruned(workload, sparsity)
    values, offsets, pointers = pack_block_sparse_rows(views, weight)
    matrix = weight.reshape(workload.out_channels, -1)
    np.testing.assert_array_equal(matrix_of(views, values, offsets, pointers), matrix)
    expected = scipy.sparse.bsr_array(matrix, blocksize=(rows, columns))
    expected.eliminate_zeros()
    assert len(values) == len(offsets) == pointers[-1] == len(expected.indices)


@by_views
@settings(max_examples=40)
@given(workloads(), st.sampled_from(SPARSITIES))
def test_one_segment_is_the_csr_array_of_scipy(
    view: Callable[[ConvWorkload], Views], workload: ConvWorkload, sparsity: float
) -> None:
    workload = replace(workload, format="csr")
    views, weight = view(workload), pruned(workload, sparsity)
    expected = scipy.sparse.csr_array(weight.reshape(workload.out_channels, -1))
    values, offsets, pointers = pack_compressed_sparse_rows(views, weight)
    assume(segment_count(views, expected.nnz) == 1)
    np.testing.assert_array_equal(values, expected.data)
    np.testing.assert_array_equal(pointers, expected.indptr)
    np.testing.assert_array_equal(offsets, views.offsets[expected.indices])


@settings(max_examples=40)
@given(workloads(), st.sampled_from(SPARSITIES))
def test_kept_channels_are_those_with_weights(workload: ConvWorkload, sparsity: float) -> None:
    workload = replace(workload, in_channels=workload.group_in_channels, groups=1, format="channel_index")
    weight = pruned(workload, sparsity)
    values, inputs, outputs = pack_kept_channels(workload, weight)
    blocks, _, _, rows = values.shape
    dense = values.transpose(0, 3, 1, 2).reshape(blocks * rows, len(inputs), *workload.kernel)
    kept = int(np.any(weight != 0, axis=(1, 2, 3)).sum())
    rebuilt = np.zeros_like(weight)
    rebuilt[np.ix_(outputs[:kept], inputs)] = dense[:kept]
    np.testing.assert_array_equal(rebuilt, weight)
    np.testing.assert_array_equal(np.sort(outputs), np.arange(workload.out_channels))


def test_reasons_for_refusing_are_named() -> None:
    direct, gemm, _ = ALGORITHMS
    undivided = ConvWorkload(1, 8, 4, 4, 20, (3, 3), format="bsr8x1")
    assert "8x1" in direct.unsupported(undivided)
    grouped = ConvWorkload(1, 8, 4, 4, 24, (3, 3), groups=2, format="bsr8x1")
    assert "group" in direct.unsupported(grouped)
    half = ConvWorkload(1, 8, 4, 4, 24, (3, 3), dtype="float16", format="csr")
    assert "float16" in gemm.unsupported(half)
    listed = replace(grouped, format="channel_index")
    assert "groups" in direct.unsupported(listed)
    depthwise = ConvWorkload(1, 8, 4, 4, 8, (3, 3), groups=8, format="csr")
    assert "depthwise" in gemm.unsupported(depthwise)
