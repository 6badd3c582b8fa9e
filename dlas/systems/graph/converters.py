"""Additions to TVM's importer from PyTorch: quantization, convolutions in types besides float32, linear
layers as convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax

from dlas.errors import UserError

Converter = Callable[[Any, Any], relax.Var]


def _per_tensor(operation: Callable[..., relax.Expr]) -> Converter:
    """A converter of activations' quantization: uint8, one scale and zero point."""

    def convert(node: Any, importer: Any) -> relax.Var:
        data, scale, zero, *_ = importer.retrieve_args(node)
        quantizes = operation is relax.op.quantize
        return importer.block_builder.emit(
            operation(
                data,
                relax.const(float(scale), "float32"),
                relax.const(int(zero), "uint8"),
                axis=-1,
                out_dtype="uint8" if quantizes else "float32",
            )
        )

    return convert


def _per_channel(operation: Callable[..., relax.Expr]) -> Converter:
    """A converter of weights' quantization: int8, a scale per output channel, zero points of 0."""

    def convert(node: Any, importer: Any) -> relax.Var:
        data, scales, zeros, axis, *_ = importer.retrieve_args(node)
        builder = importer.block_builder
        quantizes = operation is relax.op.quantize
        return builder.emit(
            operation(
                data,
                scales,
                builder.emit(relax.op.astype(zeros, "int8")),
                axis=axis,
                out_dtype="int8" if quantizes else "float32",
            )
        )

    return convert


def _convolution(node: Any, importer: Any) -> relax.Var:
    """A 2-d convolution whose output is of its input's type."""
    data, weight, bias, stride, padding, dilation, transposed, _, groups = importer.retrieve_args(node)
    if transposed or len(stride) != 2:
        raise UserError(
            f"{node.name} is no plain 2-d convolution", key="model", remedy="a network of 2-d convolutions"
        )
    builder = importer.block_builder
    convolved = builder.emit(
        relax.op.nn.conv2d(
            data,
            weight,
            strides=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            out_dtype=str(data.ty.dtype),
        )
    )
    if bias is None:
        return convolved
    return builder.emit(relax.op.add(convolved, builder.emit(relax.op.reshape(bias, (1, -1, 1, 1)))))


def _linear(node: Any, importer: Any) -> relax.Var:
    """A linear layer on (N, I) as a 1 x 1 convolution over a plane of one pixel."""
    data, weight, *bias = importer.retrieve_args(node)
    builder = importer.block_builder
    (rows, channels), outputs = (int(extent) for extent in data.ty.shape), int(weight.ty.shape[0])
    image = builder.emit(relax.op.reshape(data, (rows, channels, 1, 1)))
    kernel = builder.emit(relax.op.reshape(weight, (outputs, channels, 1, 1)))
    result = builder.emit(relax.op.nn.conv2d(image, kernel, out_dtype=str(data.ty.dtype)))
    for addend in bias:
        result = builder.emit(relax.op.add(result, builder.emit(relax.op.reshape(addend, (1, -1, 1, 1)))))
    return builder.emit(relax.op.reshape(result, (rows, outputs)))


CONVERTERS: dict[str, Converter] = {
    "linear.default": _linear,
    "convolution.default": _convolution,
    "quantize_per_tensor.default": _per_tensor(relax.op.quantize),
    "dequantize_per_tensor.default": _per_tensor(relax.op.dequantize),
    "quantize_per_channel.default": _per_channel(relax.op.quantize),
    "dequantize_per_channel.default": _per_channel(relax.op.dequantize),
}
