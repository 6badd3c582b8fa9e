"""A network with int8 weights and uint8 activations, as PyTorch simulates it (torchao, PT2E)."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn

from dlas.models.graph.exporting import exported
from dlas.models.precision import INTEGER_BITS, Precision

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

ACTIVATION_STEPS = 255

ADDITIONS = ("aten.add.Tensor", "aten.add_.Tensor")


class Quantized(Precision):
    """A calibrated network. Its state dict holds the float32 weights and the ranges that were observed."""

    bits = INTEGER_BITS

    image_shape: torch.Tensor
    simulated: nn.Module

    weight_bits: torch.Tensor

    def __init__(
        self, network: nn.Module, image_shape: tuple[int, int, int], prepared: GraphModule, weight_bits: int
    ) -> None:
        super().__init__()
        self.register_buffer("image_shape", torch.tensor(image_shape))
        self.register_buffer("weight_bits", torch.tensor(weight_bits))
        with _quiet():
            self.prepared = copy.deepcopy(prepared)
        # Kept out of the state dict: the first counts the layers, the second follows from `prepared`.
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "simulated", _simulated(prepared))

    def exportable(self) -> nn.Module:
        """The simulated network itself."""
        return self.simulated

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of the images: (N, C, H, W) float32 to (N, classes) float32."""
        logits: torch.Tensor = self.exportable()(images)
        return logits


def observed(
    network: nn.Module, image_shape: tuple[int, int, int], observer: str, weight_bits: int
) -> GraphModule:
    """`network`, batch norm folded, with observers of `observer`'s kind on what will be quantized."""
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

        any_batch = ({0: torch.export.Dim.DYNAMIC},)
        program = exported(network.eval(), torch.zeros(2, *image_shape), any_batch)
        prepared: GraphModule = prepare_pt2e(program.module(), _quantizer(observer, weight_bits))
    return prepared


def load(network: nn.Module, weights: Path) -> Quantized:
    """The quantized form of the float32 `network` from its state dict as safetensors."""
    state = {name.removeprefix("prepared."): tensor for name, tensor in load_file(weights).items()}
    channels, height, width = state.pop("image_shape").tolist()
    image_shape = (channels, height, width)
    weight_bits = int(state.pop("weight_bits"))
    kind = "histogram" if any(name.endswith(".histogram") for name in state) else "minmax"
    prepared = observed(network, image_shape, kind, weight_bits)
    prepared.load_state_dict(state)
    return Quantized(network, image_shape, prepared, weight_bits)


def _simulated(prepared: GraphModule) -> GraphModule:
    """The network with quantize and dequantize operations in place of the observers; weights stay float32."""
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        simulated: GraphModule = convert_pt2e(prepared, fold_quantize=False)
    return simulated


def _quantizer(observer: str, weight_bits: int) -> Any:
    """A quantizer of what an integer convolution reads: its input, its weight, and a residual that it adds.

    Weights are symmetric: the least integer is not used, so that every weight has its negative.
    """
    from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

    activation = QuantizationSpec(
        dtype=torch.uint8,
        observer_or_fake_quant_ctr=HistogramObserver if observer == "histogram" else MinMaxObserver,
        quant_min=0,
        quant_max=ACTIVATION_STEPS,
        qscheme=torch.per_tensor_affine,
    )
    steps = 2 ** (weight_bits - 1) - 1
    weight = QuantizationSpec(
        dtype=torch.int8,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
        quant_min=-steps,
        quant_max=steps,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )

    class ConvolutionQuantizer(Quantizer):
        def annotate(self, model: GraphModule) -> GraphModule:
            for node in model.graph.nodes:
                if str(node.target) == "aten.conv2d.default":
                    inputs = {node.args[0]: activation, node.args[1]: weight}
                elif str(node.target) in ADDITIONS and (residual := _residual(node)) is not None:
                    inputs = {residual: activation}
                else:
                    continue
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map=inputs, _annotated=True
                )
            return model

        def validate(self, model: GraphModule) -> None:
            pass

    return ConvolutionQuantizer()


def _residual(addition: Node) -> Node | None:
    """The addend that an epilogue reads, where the other addend is a convolution that nothing else reads."""
    from torch.fx import Node

    first, second, *_ = addition.args
    if not isinstance(first, Node) or not isinstance(second, Node):
        return None
    for convolution, residual in ((first, second), (second, first)):
        if str(convolution.target) == "aten.conv2d.default" and len(convolution.users) == 1:
            return residual
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torchao, which warns of libraries for other machines and of torch's own deprecations."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
