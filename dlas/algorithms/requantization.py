"""The epilogue of integer convolution: int32 sums to uint8 around a zero point, or to float32.

A value x stands for scale * (x - zero). With the input's scale s and zero z, weights of scale w (per output
channel) and zero 0, and the output's scale t, a sum a of input * weight stands for

    s * w * (a - z * sum(weight)) + bias  =  s * w * (a + int32 bias)

and the output is (a + int32 bias) * (s * w / t) + its zero (Jacob et al., arXiv:1712.05877, section 2.2). The
multiplier s * w / t is a float32 per channel. So that a residual can be added without losing precision, both
terms are rounded to FRACTION_BITS fractional bits first; all that follows is integer arithmetic, the same on
every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te

from dlas.algorithms.workload import ConvWorkload

FRACTION_BITS = 8
"""Kept until the final rounding; leaves 23 bits for the value, which needs 9."""

UINT8_MAX = 255


def with_integer_epilogue(
    workload: ConvWorkload, inputs: list[te.Tensor], convolved: Callable[[Any, Any, Any, Any], Any]
) -> list[te.Tensor]:
    """The kernel's arguments: `inputs`, int32 bias and float32 multiplier per output channel, then with a
    residual the uint8 residual and its float32 multiplier (1,), and the output."""
    bias = te.placeholder((workload.out_channels,), "int32", name="bias")
    multiplier = te.placeholder((workload.out_channels,), "float32", name="multiplier")
    residual = te.placeholder(workload.output_shape, workload.data_dtype, name="residual")
    residual_multiplier = te.placeholder((1,), "float32", name="residual_multiplier")

    def terms(n: Any, o: Any, y: Any, x: Any) -> list[Any]:
        found = [(convolved(n, o, y, x) + bias[o]).astype("float32") * multiplier[o]]
        if workload.residual:
            centered = residual[n, o, y, x].astype("int32") - workload.residual_zero
            found.append(centered.astype("float32") * residual_multiplier[0])
        return found

    def real(*index: Any) -> Any:
        total = sum(terms(*index)[1:], terms(*index)[0])
        return te.max(total, te.const(0, "float32")) if workload.activation == "relu" else total

    def quantized(*index: Any) -> Any:
        first, *others = (te.nearbyint(term).astype("int32") for term in terms(*index))
        total = sum(others, first)
        total = te.max(total, 0) if workload.activation == "relu" else total
        rounded = ((total + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS) + workload.output_zero
        return te.max(te.min(rounded, UINT8_MAX), 0).astype("uint8")

    output = te.compute(
        workload.output_shape, real if workload.output_zero is None else quantized, name="output"
    )
    epilogue = [residual, residual_multiplier] if workload.residual else []
    return [*inputs, bias, multiplier, *epilogue, output]


def integer_bias(
    weight: np.ndarray, bias: np.ndarray, input_scale: float, input_zero: int, weight_scale: np.ndarray
) -> np.ndarray:
    """The int32 bias per output channel for int8 OIHW weights and a float32 bias."""
    sums = weight.astype(np.int64).sum(axis=(1, 2, 3))
    steps = np.rint(bias.astype(np.float64) / (input_scale * weight_scale.astype(np.float64)))
    centered: np.ndarray = steps.astype(np.int64) - input_zero * sums
    return centered.astype(np.int32)


def multipliers(input_scale: float, weight_scale: np.ndarray, output_scale: float | None) -> np.ndarray:
    """The float32 multiplier per output channel; `output_scale` None is for an output in float32."""
    real = input_scale * weight_scale.astype(np.float64)
    multiplier: np.ndarray = real if output_scale is None else fixed_point(real / output_scale)
    return multiplier.astype(np.float32)


def fixed_point(multiplier: np.ndarray) -> np.ndarray:
    """A multiplier whose product has FRACTION_BITS fractional bits."""
    return multiplier * float(1 << FRACTION_BITS)
