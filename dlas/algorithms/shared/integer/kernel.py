"""The frame of an integer kernel in TensorIR: its arguments, in the order that every algorithm has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.layout import physical_shape
from dlas.algorithms.shared.integer.output import Output
from dlas.algorithms.shared.integer.packing import offsets_shape, packed_shape
from dlas.algorithms.shared.tir_arrays import flat
from dlas.interfaces.workload import ConvWorkload


@dataclass(frozen=True)
class Arguments:
    """The arguments of a kernel that is being written, flat."""

    data: Any
    weight: Any
    """Words of four, int32."""
    offsets: Any
    output: Output


@contextmanager
def integer_kernel(workload: ConvWorkload, plane_columns: int) -> Iterator[tuple[IRBuilder, Arguments]]:
    """Write a kernel; the builder's `get()` is the PrimFunc, after the block."""
    builder = IRBuilder()
    with builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"tirx.noalias": True})
        shape = physical_shape(workload.output_shape, workload.output_block)
        data = _argument("data", physical_shape(workload.input_shape, workload.input_block), "uint8")
        weight = _argument("weight", packed_shape(workload), "int8")
        offsets = _argument("offsets", offsets_shape(workload), "int32")
        bias = _argument("bias", (workload.out_channels,), "int32")
        multiplier = _argument("multiplier", (workload.out_channels,), "float32")
        residual = _argument("residual", shape, "uint8") if workload.residual else None
        residual_multiplier = _argument("residual_multiplier", (1,), "float32") if workload.residual else None
        output = _argument("output", shape, workload.output_dtype)
        yield (
            builder,
            Arguments(
                data=data,
                weight=flat(weight, "int32", prod(packed_shape(workload)) // 4),
                offsets=offsets,
                output=Output(
                    workload,
                    bias,
                    multiplier,
                    flat(residual, "uint8", prod(shape)) if residual is not None else None,
                    residual_multiplier,
                    flat(output, workload.output_dtype, prod(shape)),
                    plane_columns,
                ),
            ),
        )


def _argument(name: str, shape: tuple[int, ...], dtype: str) -> Any:
    return T.arg(name, T.Buffer(shape, dtype))
