"""Find convolutions between quantize and dequantize operations, and make integer convolutions of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tvm import relax

from dlas.algorithms.activation import RELU6_LIMIT
from dlas.algorithms.shared.integer import requantization
from dlas.algorithms.shared.integer.dot_products import NARROW_WEIGHTS, gains_by_narrow_weights
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import INT8_MAX, UINT8_MAX
from dlas.systems.graph.epilogues import FusedConv, Uses, is_op

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IntegerConv:
    """A convolution on integers, and the arrays that stand in the place of its float32 ones."""

    conv: FusedConv
    """The convolution. Its data, residual and output are quantized variables; its weight is the
    float32 parameter."""
    weight: np.ndarray
    """Weight: int8, OIHW."""
    bias: np.ndarray
    """Bias: int32, one per output channel."""
    multiplier: np.ndarray
    """Multiplier of the sums: float32, one per output channel."""
    residual_multiplier: np.ndarray | None
    """Multiplier of the residual: float32, (1,)."""


@dataclass(frozen=True)
class _Quantized:
    """A variable of quantized values with their scale and zero point."""

    var: relax.Var
    scale: float
    zero: int


def integer_convolution(
    conv: FusedConv, uses: Uses, arrays: Mapping[relax.Var, np.ndarray]
) -> IntegerConv | None:
    """The integer form of `conv`; None where its input, weight or residual is not quantized.

    `arrays` holds the values of the function's parameters.
    """
    data = _dequantized(conv.data, uses)
    weight = _weight_with_scales(conv.weight, uses, arrays)
    residual = _dequantized(conv.residual, uses) if conv.residual is not None else None
    if data is None or weight is None or (conv.residual is not None and residual is None):
        return None
    parameter, scales = weight
    output, output_scale, output_zero = _requantized(conv.output, uses)
    bias = arrays[conv.bias] if conv.bias is not None else np.zeros(len(scales), np.float32)
    matrix = arrays[parameter].reshape(conv.workload.weight_shape)
    scales = requantization.exact_scales(matrix, bias, data.scale, scales)
    values = requantization.integer_weight(matrix, scales)
    absorbed = conv.absorbed if output is conv.output else (*conv.absorbed, conv.output)
    workload = replace(
        conv.workload,
        dtype="int8",
        bias=True,
        input_zero=data.zero,
        residual_zero=residual.zero if residual else 0,
        output_zero=output_zero,
        weight_limit=NARROW_WEIGHTS if np.abs(values).max() <= NARROW_WEIGHTS else INT8_MAX,
        output_limit=(
            requantization.limit(RELU6_LIMIT, output_scale, output_zero)
            if output_scale is not None and output_zero is not None and conv.workload.activation == "relu6"
            else UINT8_MAX
        ),
    )
    return IntegerConv(
        conv=replace(
            conv,
            workload=workload,
            data=data.var,
            weight=parameter,
            bias=None,
            residual=residual.var if residual else None,
            output=output,
            absorbed=absorbed,
        ),
        weight=values,
        bias=requantization.integer_bias(values, bias, data.scale, data.zero, scales),
        multiplier=requantization.multipliers(data.scale, scales, output_scale),
        residual_multiplier=(
            requantization.multipliers(residual.scale, np.ones(1), output_scale) if residual else None
        ),
    )


def warn_of_wide_weights(layers: Sequence[ConvLayer], target: CodeTarget) -> None:
    """Warn where int8 is hardly faster than float32 on the target because the weights have
    one bit too many."""
    wide = [
        layer
        for layer in layers
        if layer.workload.dtype == "int8" and layer.workload.weight_limit == INT8_MAX
    ]
    if wide and gains_by_narrow_weights(target):
        log.warning(
            "compression.int8.weight_bits: %s has no dot products of bytes: int8 with weights of 8 bits is"
            " hardly faster than float32 there, with 7 it is",
            target.cpu,
        )


def _dequantized(var: relax.Var, uses: Uses) -> _Quantized | None:
    value = uses.values.get(var)
    if value is None or not is_op(value, "relax.dequantize"):
        return None
    quantized, scale, zero = value.args
    return _Quantized(quantized, float(scale.value.numpy()), int(zero.value.numpy()))


def _weight_with_scales(
    var: relax.Var, uses: Uses, arrays: Mapping[relax.Var, np.ndarray]
) -> tuple[relax.Var, np.ndarray] | None:
    """The float32 parameter behind a dequantized weight, and its scales."""
    dequantize = uses.values.get(var)
    if dequantize is None or not is_op(dequantize, "relax.dequantize"):
        return None
    quantize = uses.values.get(dequantize.args[0])
    if quantize is None or not is_op(quantize, "relax.quantize") or quantize.args[0] not in arrays:
        return None
    return quantize.args[0], quantize.args[1].value.numpy()


def _requantized(output: relax.Var, uses: Uses) -> tuple[relax.Var, float | None, int | None]:
    """The quantized form of `output` with its scale and zero, where nothing else reads `output`."""
    reader = uses.only_reader(output)
    value = uses.values.get(reader) if reader is not None else None
    if value is None or not is_op(value, "relax.quantize"):
        return output, None, None
    _, scale, zero = value.args
    return reader, float(scale.value.numpy()), int(zero.value.numpy())
