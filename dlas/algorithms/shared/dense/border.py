"""Border and epilogue of every convolution, in TE: zeros around its input, and what follows its sums."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from tvm import te

from dlas.algorithms.activation import activated
from dlas.algorithms.layout import element, logical_index, physical_shape
from dlas.algorithms.shared.dense.tiling import MIN_PARALLEL_VALUES
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule


def input_placeholder(workload: ConvWorkload) -> te.Tensor:
    """The kernel's first argument."""
    shape = physical_shape(workload.input_shape, workload.input_block)
    return te.placeholder(shape, workload.data_dtype, name="data")


def zero_padded(workload: ConvWorkload, data: te.Tensor) -> te.Tensor:
    """`data` with the workload's border of zeros; `data` itself where nothing has to be done.

    It lies in memory as the input does: read it by `layout.element`. float16 becomes float32 on the way, once
    for every value instead of once for every use.
    """
    top, left, bottom, right = workload.padding
    if not has_padded_stage(workload):
        return data
    batch, channels, height, width = workload.input_shape
    padded = (batch, channels, height + top + bottom, width + left + right)
    block = workload.input_block
    dtype = workload.sum_dtype if workload.dtype == "float16" else workload.data_dtype

    def value(*index: Any) -> Any:
        n, c, y, x = logical_index(block, *index)
        return te.if_then_else(
            te.all(y >= top, y < height + top, x >= left, x < width + left),
            element(data, block, n, c, y - top, x - left).astype(dtype),
            te.const(0, dtype),
        )

    return te.compute(physical_shape(padded, block), value, name="padded")


def has_padded_stage(workload: ConvWorkload) -> bool:
    """Whether the input is copied, as `padded`, before it is used."""
    return any(workload.padding) or workload.dtype == "float16"


def with_epilogue(
    workload: ConvWorkload, inputs: list[te.Tensor], convolved: Callable[[Any, Any, Any, Any], Any]
) -> list[te.Tensor]:
    """The kernel's arguments: `inputs`, bias, residual, and the output of `convolved(n, o, y, x)`."""
    bias = te.placeholder((workload.out_channels,), workload.dtype, name="bias")
    block = workload.output_block
    shape = physical_shape(workload.output_shape, block)
    residual = te.placeholder(shape, workload.dtype, name="residual")

    def value(*index: Any) -> Any:
        n, o, y, x = logical_index(block, *index)
        total = convolved(n, o, y, x)
        if workload.bias:
            total = total + bias[o].astype(workload.sum_dtype)
        if workload.residual:
            total = total + residual[index].astype(workload.sum_dtype)
        return activated(workload, total).astype(workload.output_dtype)

    output = te.compute(shape, value, name="output")
    return [*inputs, *[bias] * workload.bias, *[residual] * workload.residual, output]


def schedule_padding(sch: Schedule, workload: ConvWorkload) -> None:
    """Fill the zero border a vector at a time, in parallel where there is enough to fill."""
    if has_padded_stage(workload):
        batch, channel, *_, innermost = sch.get_loops(sch.get_sblock("padded"))
        planes = sch.fuse(batch, channel)
        if prod(workload.input_shape) >= MIN_PARALLEL_VALUES:
            sch.parallel(planes)
        sch.vectorize(innermost)
