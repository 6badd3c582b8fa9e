"""Convolutions of one and two dimensions, and linear layers as convolutions."""

from __future__ import annotations

from math import prod
from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, dtype_of, extents, reshaped


def _convolution(node: Node, importer: Any) -> relax.Expr:
    """A convolution whose output is of its input's type. One over a row is one over a plane of that row."""
    given = arguments(node, importer)
    data, weight = given["input"], given["weight"]
    length, rows = len(given["stride"]), 2 - len(given["stride"])
    image = reshaped(importer, data, _with_rows(extents(data), rows))
    kernel = reshaped(importer, weight, _with_rows(extents(weight), rows))
    convolved = relax.op.nn.conv2d(
        image,
        kernel,
        strides=[1] * rows + list(given["stride"]),
        padding=[0] * rows + list(given["padding"]),
        dilation=[1] * rows + list(given["dilation"]),
        groups=given["groups"],
        out_dtype=dtype_of(data),
    )
    result = _biased(importer, importer.block_builder.emit(convolved), given["bias"])
    batch, channels, *plane = extents(result)
    return reshaped(importer, result, [batch, channels, *plane[2 - length :]])


def _with_rows(shape: list[int], rows: int) -> list[int]:
    return [*shape[:2], *[1] * rows, *shape[2:]]


def _linear(node: Node, importer: Any) -> relax.Expr:
    """A linear layer on (..., I) as a 1 x 1 convolution over planes of one pixel, where its weight is the
    same for every image; else as a product of matrices."""
    given = arguments(node, importer)
    data, weight, builder = given["input"], given["weight"], importer.block_builder
    *leading, channels = extents(data)
    outputs, rows = extents(weight)[0], prod(leading)
    if not _is_given(node.all_input_nodes[1]):
        product = builder.emit(
            relax.op.matmul(data, builder.emit(relax.op.permute_dims(weight)), out_dtype=dtype_of(data))
        )
        return product if given["bias"] is None else builder.emit(relax.op.add(product, given["bias"]))
    image = builder.emit(relax.op.reshape(data, [rows, channels, 1, 1]))
    kernel = builder.emit(relax.op.reshape(weight, [outputs, channels, 1, 1]))
    result = builder.emit(relax.op.nn.conv2d(image, kernel, out_dtype=dtype_of(data)))
    return reshaped(importer, _biased(importer, result, given["bias"]), [*leading, outputs])


def _is_given(weight: Node) -> bool:
    """Whether a weight is a parameter, or what int8 makes of one."""
    is_quantization = str(weight.target).startswith("quantized_decomposed")
    return weight.op == "placeholder" or (is_quantization and _is_given(weight.all_input_nodes[0]))


def _biased(importer: Any, result: relax.Var, bias: relax.Expr | None) -> relax.Var:
    if bias is None:
        return result
    builder = importer.block_builder
    return builder.emit(relax.op.add(result, builder.emit(relax.op.reshape(bias, (1, -1, 1, 1)))))


CONVERTERS: dict[str, Converter] = {"linear.default": _linear, "convolution.default": _convolution}
