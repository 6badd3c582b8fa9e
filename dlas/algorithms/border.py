"""What surrounds every convolution: the zero border of its input and the epilogue of its output, in TE."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tvm import te

from dlas.algorithms.requantization import with_integer_epilogue
from dlas.algorithms.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.s_tir import Schedule


def zero_padded(workload: ConvWorkload, data: te.Tensor) -> te.Tensor:
    """`data` (NCHW) with the workload's border of what stands for zero; `data` itself where there is none."""
    top, left, bottom, right = workload.padding
    if not any(workload.padding):
        return data
    batch, channels, height, width = workload.input_shape
    return te.compute(
        (batch, channels, height + top + bottom, width + left + right),
        lambda n, c, y, x: te.if_then_else(
            te.all(y >= top, y < height + top, x >= left, x < width + left),
            data[n, c, y - top, x - left],
            te.const(workload.input_zero, workload.data_dtype),
        ),
        name="padded",
    )


def with_epilogue(
    workload: ConvWorkload, inputs: list[te.Tensor], convolved: Callable[[Any, Any, Any, Any], Any]
) -> list[te.Tensor]:
    """The kernel's arguments: `inputs`, bias, residual, and the NCHW output of `convolved(n, o, y, x)`."""
    if workload.dtype == "int8":
        return with_integer_epilogue(workload, inputs, convolved)
    bias = te.placeholder((workload.out_channels,), workload.dtype, name="bias")
    residual = te.placeholder(workload.output_shape, workload.dtype, name="residual")

    def value(n: Any, o: Any, y: Any, x: Any) -> Any:
        total = convolved(n, o, y, x)
        if workload.bias:
            total = total + bias[o].astype(workload.sum_dtype)
        if workload.residual:
            total = total + residual[n, o, y, x].astype(workload.sum_dtype)
        total = te.max(total, te.const(0, workload.sum_dtype)) if workload.activation == "relu" else total
        return total.astype(workload.output_dtype)

    output = te.compute(workload.output_shape, value, name="output")
    return [*inputs, *[bias] * workload.bias, *[residual] * workload.residual, output]


def schedule_padding(sch: Schedule, workload: ConvWorkload) -> None:
    """Fill the zero border a plane per thread, a row at a time."""
    if any(workload.padding):
        batch, channel, _, row = sch.get_loops(sch.get_sblock("padded"))
        sch.parallel(sch.fuse(batch, channel))
        sch.vectorize(row)
