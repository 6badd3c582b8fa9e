"""A network as an ONNX file, for the compilers that take one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.errors import last_line
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.systems.compilers import onnx_quantization

if TYPE_CHECKING:
    from torch.export import ExportedProgram

OPSET = 17
"""Version of ONNX's operators, which every compiler of ONNX files knows by now."""

INPUT, OUTPUT = "images", "outputs"


def write(program: ExportedProgram, file: Path) -> None:
    """Write the exported network for images (N, C, H, W) of its one shape; one in int8 with its scales.

    NetworkNotTaken that names the operator which ONNX, or PyTorch's export to it, does not have.
    """
    import torch
    from torch.onnx.errors import OnnxExporterError

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
    except OnnxExporterError as error:
        raise NetworkNotTaken(
            f"the network can't be written as ONNX: {last_line(error)}",
            key="compiler",
            remedy="compiler=tvm, or another one that takes no ONNX",
        ) from error
    onnx_quantization.store_integer_weights(file)
