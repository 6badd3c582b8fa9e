"""Matrix multiplication on integers: im2col gathers the words behind each output pixel; tiles run over all
pixels of the plane, whatever its width."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.integer import packing as integer_packing
from dlas.algorithms.shared.integer.convolution import Convolution, Plane
from dlas.algorithms.shared.integer.dot_products import DotProduct, dot_product
from dlas.algorithms.shared.integer.kernel import integer_kernel
from dlas.algorithms.shared.integer.packing import group_words
from dlas.algorithms.shared.integer.tile import IntegerTile, tiles
from dlas.algorithms.shared.integer.words import Words, words_of
from dlas.algorithms.shared.tir_arrays import each_vector, load, store, tasks
from dlas.algorithms.spatial_pack import int8 as spatial_pack
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """A depthwise layer has no matrix to multiply: each channel is a row of its own."""
    depthwise = workload.groups > 1 and workload.group_in_channels == 1
    return "gemm does not serve depthwise convolutions" if depthwise else ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """Blocks of channels, as spatial pack on integers has them."""
    return spatial_pack.layouts(workload)


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights in words of four, and their sums; see `integer_packing`."""
    return integer_packing.pack_weight(workload, weight)


def kernel(workload: ConvWorkload, target: CodeTarget) -> Any:
    """The kernel in TensorIR."""
    return kernel_with(workload, target, parameters(workload, target)[0])


def parameters(workload: ConvWorkload, target: CodeTarget) -> tuple[IntegerTile, ...]:
    """Tiles that a tuner may try, the kernel's own choice first."""
    pixels = workload.out_height * workload.out_width
    words = workload.groups * group_words(workload) * prod(workload.kernel) * pixels
    return tiles(workload, (pixels, 1), words, dot_product(target, workload.weight_limit), target)


def kernel_with(workload: ConvWorkload, target: CodeTarget, chosen: IntegerTile) -> Any:
    """The kernel in TensorIR with one of its `parameters`."""
    dot = dot_product(target, workload.weight_limit)
    height, width = workload.kernel
    with integer_kernel(workload, plane_columns=1) as (builder, arguments):
        matrix = _im2col(workload, dot, words_of(workload, dot, arguments.data))

        def offset(word: Any, r: Any, s: Any) -> Any:
            outer = (word // matrix.inner * height + r) * width + s
            return matrix.row(0, outer, 0) + word % matrix.inner

        pixels = workload.out_height * workload.out_width
        plane = Plane(rows=pixels, columns=1, stride=(1, 1), words=matrix, offset=offset)
        Convolution(workload, plane, dot, arguments).write(chosen)
    return builder.get()


def _im2col(workload: ConvWorkload, dot: DotProduct, words: Words) -> Words:
    """The words behind each output pixel: (outer words, r, s) outside, pixels, inner words."""
    height, width = workload.kernel
    pixels = workload.out_height * workload.out_width
    inner, rows = words.inner, words.outer * height * width
    if workload.kernel == workload.stride == (1, 1):
        return Words(words.buffer, words.outer, pixels, 1, inner)
    buffer = T.alloc_buffer((workload.batch * rows * pixels * inner,), dot.word)
    matrix = Words(buffer, rows, pixels, 1, inner)
    with (
        tasks(workload.batch * rows, workload.batch * matrix.size) as row,
        T.serial(workload.out_height) as y,
    ):
        outer, r, s = row // (height * width), row // width % height, row % width
        source_y = y * workload.stride[0] + r * workload.dilation[0]
        source = words.row(0, outer, source_y) + s * workload.dilation[1] * inner
        target = (row * pixels + y * workload.out_width) * inner
        if workload.stride[1] == 1:
            with each_vector(workload.out_width * inner, dot.sum_lanes) as (start, lanes):
                store(buffer, target + start, load(words.buffer, source + start, lanes), lanes)
        else:
            with T.serial(workload.out_width) as x:
                value = load(words.buffer, source + x * workload.stride[1] * inner, inner)
                store(buffer, target + x * inner, value, inner)
    return matrix
