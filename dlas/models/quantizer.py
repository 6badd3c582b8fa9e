"""What of a network is quantized, and the observers that find the ranges of its values.

Importing this imports torchao, which talks: do so where it is kept quiet.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

from dlas.models.graph.layers import CONVOLUTIONS, LINEAR

ACTIVATION_STEPS = 255

PLANES = ("aten.conv2d.default", "aten.conv2d.padding")
"""Convolutions that a residual can be added to in their kernel."""

ADDITIONS = ("aten.add.Tensor", "aten.add_.Tensor")

MIN_EXPONENT = -80
"""Exponent of the smallest unit: values that are all below 1e-24 are as good as 0."""


class _InUnits:
    """An observer whose scale is found in units of its largest value.

    torchao's own have a floor for scales of 1.2e-7, and the histogram's error is a sum of cubes, which vanish
    in float32 long before the values do. Units are powers of two, which change no digit.
    """

    min_val: torch.Tensor
    max_val: torch.Tensor

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the scales and the zero points."""
        _, exponent = torch.frexp(torch.maximum(-self.min_val, self.max_val))
        unit = torch.ldexp(torch.ones(()), exponent.clamp(min=MIN_EXPONENT))
        scaled: Any = copy.deepcopy(self)
        scaled.min_val, scaled.max_val = self.min_val / unit, self.max_val / unit
        scale, zero = super(_InUnits, scaled).calculate_qparams()  # type: ignore[misc]
        return scale * unit, zero


class _Histogram(_InUnits, HistogramObserver):
    pass


class _MinMax(_InUnits, MinMaxObserver):
    pass


class _PerChannelMinMax(_InUnits, PerChannelMinMaxObserver):
    pass


class LayerQuantizer(Quantizer):
    """Quantizes what the integer kernel of a convolution or linear layer reads: its input, its weight, and a
    residual that a convolution adds.

    Weights are symmetric: the least integer is not used, so that every weight has its negative.
    """

    def __init__(self, observer: str, weight_bits: int) -> None:
        super().__init__()
        steps = 2 ** (weight_bits - 1) - 1
        self._activation = QuantizationSpec(
            dtype=torch.uint8,
            observer_or_fake_quant_ctr=_Histogram if observer == "histogram" else _MinMax,
            quant_min=0,
            quant_max=ACTIVATION_STEPS,
            qscheme=torch.per_tensor_affine,
        )
        self._weight = QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=_PerChannelMinMax,
            quant_min=-steps,
            quant_max=steps,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
        )

    def annotate(self, model: GraphModule) -> GraphModule:
        """Tell torchao which operands of which operations to observe."""
        for node in model.graph.nodes:
            if _is_integer(node):
                inputs = {node.args[0]: self._activation, node.args[1]: self._weight}
            elif str(node.target) in ADDITIONS and (residual := _residual(node)) is not None:
                inputs = {residual: self._activation}
            else:
                continue
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                input_qspec_map=inputs, _annotated=True
            )
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept whatever `annotate` left."""


def _is_integer(node: Node) -> bool:
    """Whether an integer kernel serves the node: a layer whose weight is a parameter, and whose border is as
    wide on either side."""
    if str(node.target) not in {*CONVOLUTIONS, LINEAR}:
        return False
    weight = node.args[1]
    is_parameter = isinstance(weight, Node) and weight.op == "get_attr"
    return is_parameter and (not str(node.target).endswith(".padding") or _is_padded_evenly(node))


def _is_padded_evenly(convolution: Node) -> bool:
    """Whether padding="same" or "valid" gives either side as many rows and columns."""
    weight, padding, dilation = (_argument(convolution, at) for at in (1, 4, 5))
    extents = weight.meta["val"].shape[2:]
    covered = zip(extents, dilation or [1] * len(extents), strict=True)
    return padding != "same" or all((extent - 1) * step % 2 == 0 for extent, step in covered)


def _argument(node: Node, at: int) -> Any:
    return node.args[at] if len(node.args) > at else None


def _residual(addition: Node) -> Node | None:
    """The addend that an epilogue reads, where the other addend is a convolution that nothing else reads."""
    first, second, *_ = addition.args
    if not isinstance(first, Node) or not isinstance(second, Node) or first is second:
        return None
    for convolution, residual in ((first, second), (second, first)):
        is_plane = str(convolution.target) in PLANES and _is_integer(convolution)
        if is_plane and len(convolution.users) == 1:
            return residual
    return None
