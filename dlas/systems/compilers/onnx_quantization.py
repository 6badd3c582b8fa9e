"""An int8 network as ONNX has it: QuantizeLinear and DequantizeLinear (QDQ) around operators in float32.

A compiler of ONNX files takes such a pair on either side of a convolution for a convolution of integers. The
scales are those that were calibrated, so every compiler computes the same quantized network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

NAMESPACE = "quantized_decomposed"
"""PyTorch's namespace of the operators that a quantized network has."""

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def register(opset: int) -> None:
    """Tell PyTorch's exporter what its quantized operators are in ONNX of that version. Doing so again
    changes nothing."""
    from torch.onnx import register_custom_op_symbolic  # type: ignore[attr-defined]  # it is not in __all__
    from torch.onnx.symbolic_helper import parse_args

    whole = parse_args("v", "f", "i", "i", "i", "i", "none")
    by_channel = parse_args("v", "v", "v", "i", "i", "i", "i", "none")
    for name, operator in (("quantize", QUANTIZE), ("dequantize", DEQUANTIZE)):
        register_custom_op_symbolic(f"{NAMESPACE}::{name}_per_tensor", whole(_per_tensor(operator)), opset)
        register_custom_op_symbolic(
            f"{NAMESPACE}::{name}_per_channel", by_channel(_per_channel(operator)), opset
        )


def store_integers(file: Path) -> None:
    """Have the ONNX file hold integers instead of constants in float32 that are quantized in each run."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(file)
    graph = model.graph
    values = _constants(model)
    quantized = [node for node in graph.node if node.op_type == QUANTIZE and node.input[0] in values]
    for node in quantized:
        graph.initializer.append(numpy_helper.from_array(_quantized(node, values), node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    if quantized:
        onnx.save(model, file)


def _per_tensor(operator: str) -> Any:
    def symbolic(
        graph: Any, array: Any, scale: float, zero: int, low: int, high: int, dtype: int, *_: None
    ) -> Any:
        import torch

        integers = torch.int8 if low < 0 else torch.uint8
        step = graph.op("Constant", value_t=torch.tensor(scale))
        return graph.op(
            operator, array, step, graph.op("Constant", value_t=torch.tensor(zero, dtype=integers))
        )

    return symbolic


def _per_channel(operator: str) -> Any:
    def symbolic(
        graph: Any, array: Any, scales: Any, zeros: Any, axis: int, low: int, high: int, dtype: int, *_: None
    ) -> Any:
        from torch.onnx import TensorProtoDataType

        kind = TensorProtoDataType.INT8 if low < 0 else TensorProtoDataType.UINT8
        return graph.op(operator, array, scales, graph.op("Cast", zeros, to_i=kind), axis_i=axis)

    return symbolic


def _constants(model: ModelProto) -> dict[str, np.ndarray]:
    """The values of the file that no image decides, by every name that they have."""
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type in ("Identity", "Cast") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _quantized(node: NodeProto, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output of a QuantizeLinear of a constant, as ONNX defines it: in its zero point's data type."""
    constant, scale, zero = (values[name] for name in node.input)
    axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
    along = [-1 if place == axis else 1 for place in range(constant.ndim)] if scale.ndim else []
    steps = np.rint(constant / scale.reshape(along)) + zero.reshape(along)
    limits = np.iinfo(zero.dtype)
    integers: np.ndarray = np.clip(steps, limits.min, limits.max).astype(zero.dtype)
    return integers
