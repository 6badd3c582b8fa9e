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

import numpy as np

from dlas.interfaces.workload import INT8_MAX, UINT8_MAX

FRACTION_BITS = 8
"""Fraction bits that are kept until the final rounding; they leave 23 bits for the value, which needs 9."""


MAX_SUM = 1 << 30
"""Bound of sums: half of what an int32 holds, so that rounding weights up does no harm."""


def exact_scales(
    weight: np.ndarray, bias: np.ndarray, input_scale: float, weight_scale: np.ndarray
) -> np.ndarray:
    """`weight_scale` per output channel, larger where integer sums might not fit an int32: beside a bias that
    is much larger than all that the float32 OIHW `weight` can add to it, or over very many inputs.

    The products, and the zero point's share in the bias, each add up to UINT8_MAX times the weights at most.
    """
    largest = np.abs(weight.astype(np.float64)).sum(axis=(1, 2, 3)) * (2 * UINT8_MAX)
    least = (largest + np.abs(bias.astype(np.float64)) / input_scale) / MAX_SUM
    scales: np.ndarray = np.maximum(weight_scale, least.astype(np.float32))
    return scales


def integer_weight(weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The float32 OIHW weight in int8, with a scale per output channel."""
    steps = weight * (np.float32(1) / scale)[:, None, None, None]
    values: np.ndarray = np.clip(np.rint(steps), -INT8_MAX, INT8_MAX).astype(np.int8)
    return values


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


def limit(upper_bound: float, scale: float, zero: int) -> int:
    """The largest output value where an activation is bounded by `upper_bound`.

    To bound the rounded value gives what rounding the bounded value would: rounding keeps the order.
    """
    return min(UINT8_MAX, round(upper_bound / scale) + zero)


def fixed_point(multiplier: np.ndarray) -> np.ndarray:
    """A multiplier whose product has FRACTION_BITS fractional bits."""
    return multiplier * float(1 << FRACTION_BITS)
