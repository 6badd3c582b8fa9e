"""Quantization, as PyTorch's PT2E writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter


def _per_tensor(operation: Callable[..., relax.Expr]) -> Converter:
    """A converter of activations' quantization: uint8, one scale and zero point."""

    def convert(node: Node, importer: Any) -> relax.Var:
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

    def convert(node: Node, importer: Any) -> relax.Var:
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


CONVERTERS: dict[str, Converter] = {
    "quantize_per_tensor.default": _per_tensor(relax.op.quantize),
    "dequantize_per_tensor.default": _per_tensor(relax.op.dequantize),
    "quantize_per_channel.default": _per_channel(relax.op.quantize),
    "dequantize_per_channel.default": _per_channel(relax.op.dequantize),
}
