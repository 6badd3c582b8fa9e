"""A network with int8 weights and uint8 activations, as PyTorch simulates it (torchao, PT2E)."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import nn

from dlas.models.graph.exporting import exported
from dlas.models.precision import INTEGER_BITS, Precision

if TYPE_CHECKING:
    from torch.fx import GraphModule


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

        from dlas.models.quantizer import LayerQuantizer

        any_batch = ({0: torch.export.Dim.DYNAMIC},)
        program = exported(network.eval(), torch.zeros(2, *image_shape), any_batch)
        prepared: GraphModule = prepare_pt2e(program.module(), LayerQuantizer(observer, weight_bits))
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
