"""A network as an ONNX file, for the compilers that take one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.errors import first_line
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.printable import printable
from dlas.systems.compilers import onnx_quantization

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Shape = tuple[int, ...]

OPSET = 17
"""Version of ONNX's operators, which every compiler of ONNX files knows by now."""

INPUT, OUTPUT = "images", "outputs"

ADDED = re.compile(r"\. Please |  \[Caused by ")
"""What begins the part of a message that asks for reports, or tells of PyTorch's own graph."""


def write(program: ExportedProgram, file: Path) -> None:
    """Write the exported network for images (N, C, H, W) of its one shape; one in int8 with its scales.

    NetworkNotTaken that names the operator which ONNX, or PyTorch's export to it, does not have.
    """
    import torch

    graph = program.module()  # it can't be put into eval mode again, which the exporter does; a copy can
    network = torch.fx.GraphModule(graph, graph.graph)
    (images,) = (node.meta["val"] for node in graph.graph.find_nodes(op="placeholder"))
    onnx_quantization.register(OPSET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (torch.zeros(images.shape),),
                file,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the exporter's own, and whatever PyTorch raises as it traces
        raise NetworkNotTaken(
            f"the network can't be written as ONNX: {_reason(error)}",
            key="compiler",
            remedy="compiler=tvm, or another one that takes no ONNX",
        ) from error
    onnx_quantization.store_integers(file)


def _reason(error: Exception) -> str:
    """The exception's first line, less what the exporter adds for its authors."""
    return printable(ADDED.split(first_line(error))[0])


def macs(file: Path) -> Mapping[str, int]:
    """Multiply-accumulates of each convolution and matrix multiplication of the ONNX file, by its name."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
    counts = {"Conv": _of_convolution, "Gemm": _of_product, "MatMul": _of_product}
    return {
        node.name: counts[node.op_type](*(shapes[name] for name in (*node.input[:2], node.output[0])))
        for node in graph.node
        if node.op_type in counts
    }


def _of_convolution(images: Shape, weight: Shape, output: Shape) -> int:
    return prod(output) * prod(weight[1:])


def _of_product(left: Shape, right: Shape, output: Shape) -> int:
    return prod(output) * left[-1]
