"""A network with int8 weights and uint8 activations, as PyTorch simulates it (torchao, PT2E)."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import nn

from dlas.data_types import INT8_BITS
from dlas.errors import UserError
from dlas.models.fidelity import layer_names, signal_to_noise
from dlas.models.graph.exporting import exported
from dlas.models.precision import Precision

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


MEASURED = 32
"""Largest number of calibration images on which the signal of each layer is compared."""


class Quantized(Precision):
    """A calibrated network. Its state dict holds the float32 weights, the ranges that were observed, and how
    well each layer keeps its signal."""

    bits = INT8_BITS

    image_shape: torch.Tensor
    simulated: GraphModule

    weight_bits: torch.Tensor
    decibels: torch.Tensor
    """Signal over noise of each call of a layer, in the order of `fidelity.layer_names`."""

    def __init__(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],
        prepared: GraphModule,
        weight_bits: int,
        decibels: torch.Tensor,
    ) -> None:
        super().__init__()
        self.register_buffer("image_shape", torch.tensor(image_shape))
        self.register_buffer("weight_bits", torch.tensor(weight_bits))
        self.register_buffer("decibels", decibels)
        with _quiet():
            self.prepared = copy.deepcopy(prepared)  # a copy can be put into eval mode, the original can't
        # Kept out of the state dict: the first counts the layers, the second follows from `prepared`.
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "simulated", _simulated(prepared))

    def exportable(self, batch: int) -> nn.Module:
        """The simulated network; quantized anew for that batch where it is written down for one image."""
        if batch == 1 or _takes_any_batch(self.simulated):
            return self.simulated
        shape = (batch, *self.image_shape.tolist())
        return _simulated(_enlarged(self.prepared, self.network, shape, int(self.weight_bits)))

    @property
    def signal_to_noise(self) -> Mapping[str, float]:
        """Decibels of each call of a layer, by its name."""
        return dict(zip(layer_names(self.prepared), self.decibels.tolist(), strict=True))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of the images: (N, C, H, W) float32 to (N, classes) float32."""
        if _takes_any_batch(self.simulated):
            logits: torch.Tensor = self.simulated(images)
            return logits
        return torch.cat([self.simulated(image[None]) for image in images])


def calibrated(network: nn.Module, images: torch.Tensor, observer: str, weight_bits: int) -> Quantized:
    """The float32 `network` quantized: ranges are those of the images (N, C, H, W), found by `observer`."""
    channels, height, width = images.shape[1:]
    image_shape = (channels, height, width)
    prepared = observed(network, image_shape, observer, weight_bits)
    with torch.no_grad():
        for image in images:
            prepared(image[None])
    with _quiet():
        exact = copy.deepcopy(prepared)  # whose observers may see the images once more
    spread = torch.linspace(0, len(images) - 1, min(len(images), MEASURED)).long()
    decibels = signal_to_noise(exact, _simulated(prepared), images[spread])
    return Quantized(network, image_shape, prepared, weight_bits, torch.tensor(decibels))


def load(network: nn.Module, weights: Path) -> Quantized:
    """The quantized form of the float32 `network` from its state dict as safetensors."""
    state = load_file(weights)
    channels, height, width = state.pop("image_shape").tolist()
    weight_bits, decibels = int(state.pop("weight_bits")), state.pop("decibels")
    observers = {name.removeprefix("prepared."): tensor for name, tensor in state.items()}
    prepared = observed(network, (channels, height, width), _kind(observers), weight_bits)
    prepared.load_state_dict(observers)
    return Quantized(network, (channels, height, width), prepared, weight_bits, decibels)


def observed(
    network: nn.Module, image_shape: tuple[int, int, int], observer: str, weight_bits: int
) -> GraphModule:
    """`network`, batch norm folded, with observers of `observer`'s kind on what will be quantized.

    It takes any number of images; where the network's forward fixes the number that it was written down
    for, a single one. UserError where it cannot be exported.
    """
    several, single = torch.zeros(2, *image_shape), torch.zeros(1, *image_shape)
    try:
        program = exported(network.eval(), several, ({0: torch.export.Dim.DYNAMIC},))
    except UserError:
        program = exported(network.eval(), single)
    return _prepared(program, observer, weight_bits)


def _enlarged(
    single: GraphModule, network: nn.Module, shape: tuple[int, ...], weight_bits: int
) -> GraphModule:
    """The network for images (N, C, H, W) of this shape, with what the observers saw in `single`."""
    prepared = _prepared(exported(network, torch.zeros(*shape)), _kind(single.state_dict()), weight_bits)
    observers, known = _observers(prepared), _observers(single)
    if len(observers) != len(known):
        raise UserError(
            f"the network has other layers for {shape[0]} images at once than for one, which int8 follows",
            key="timing.batch_sizes",
            remedy="timing.batch_sizes=[1], or a forward that treats all images alike",
        )
    for observer, same in zip(observers, known, strict=True):
        observer.load_state_dict(same.state_dict())
    return prepared


def _observers(prepared: GraphModule) -> list[nn.Module]:
    with _quiet():
        from torchao.quantization.pt2e import ObserverBase
    return [module for module in prepared.modules() if isinstance(module, ObserverBase)]


def _prepared(program: ExportedProgram, observer: str, weight_bits: int) -> GraphModule:
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

        from dlas.models.quantizer import LayerQuantizer

        prepared: GraphModule = prepare_pt2e(program.module(), LayerQuantizer(observer, weight_bits))
    return prepared


def _kind(state: Mapping[str, torch.Tensor]) -> str:
    """The kind of observers whose state it is."""
    return "histogram" if any(name.endswith(".histogram") for name in state) else "minmax"


def _takes_any_batch(graph: GraphModule) -> bool:
    (images,) = graph.graph.find_nodes(op="placeholder")
    return not isinstance(images.meta["val"].shape[0], int)


def _simulated(prepared: GraphModule) -> GraphModule:
    """The network with quantize and dequantize operations in place of the observers; weights stay float32."""
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        simulated: GraphModule = convert_pt2e(copy.deepcopy(prepared), fold_quantize=False)
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
