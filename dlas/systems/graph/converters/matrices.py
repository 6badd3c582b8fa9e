"""Products of matrices, in the data type of their operands."""

from __future__ import annotations

from typing import Any

from torch.fx import Node
from tvm import relax

from dlas.systems.graph.converters.converter import Converter, arguments, dtype_of


def _product(node: Node, importer: Any) -> relax.Var:
    left, right = (importer.env[read] for read in node.args)
    return importer.block_builder.emit(relax.op.matmul(left, right, out_dtype=dtype_of(left)))


def _sum_with_product(node: Node, importer: Any) -> relax.Var:
    """beta * input + alpha * (mat1 @ mat2)"""
    given, builder = arguments(node, importer), importer.block_builder
    left, right, dtype = given["mat1"], given["mat2"], dtype_of(given["mat1"])
    product = builder.emit(relax.op.matmul(left, right, out_dtype=dtype))
    scaled = builder.emit(relax.op.multiply(product, relax.const(given["alpha"], dtype)))
    addend = builder.emit(relax.op.multiply(given["input"], relax.const(given["beta"], dtype)))
    return builder.emit(relax.op.add(scaled, addend))


CONVERTERS: dict[str, Converter] = {
    "mm.default": _product,
    "bmm.default": _product,
    "addmm.default": _sum_with_product,
}
