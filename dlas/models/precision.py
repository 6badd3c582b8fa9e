"""Networks that compute in another data type, with float32 images in and float32 logits out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from dlas.data_types import BITS, FLOAT16_BITS, FLOAT32_BITS, INT8_BITS


class Precision(nn.Module):
    """A network that computes in another data type: its bits and its layers."""

    bits: int
    """Bits of the weights and activations."""
    network: nn.Module
    """The layers, under their own names."""

    def exportable(self, batch: int) -> nn.Module:
        """The module to give to `torch.export` for so many images, with every weight under its name."""
        return self

    @property
    def signal_to_noise(self) -> Mapping[str, float]:
        """Decibels of each call of a layer, by its name; empty where they were not measured."""
        return {}


class Float16(Precision):
    """A network in float16: weights, activations and the sums that PyTorch makes of them."""

    bits = FLOAT16_BITS

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of the images: (N, C, H, W) float32 to (N, classes) float32."""
        logits: torch.Tensor = self.network(images.half())
        return logits.float()


def bits(network: nn.Module) -> int:
    """Bits of the network's weights and activations."""
    return network.bits if isinstance(network, Precision) else FLOAT32_BITS


def data_type(network: nn.Module) -> str:
    """Name of the data type of the network's weights and activations."""
    return next(name for name, count in BITS.items() if count == bits(network))


def is_float16(network: nn.Module) -> bool:
    """Whether the network computes in float16."""
    return bits(network) == FLOAT16_BITS


def is_int8(network: nn.Module) -> bool:
    """Whether the network computes in int8."""
    return bits(network) == INT8_BITS


def exportable(network: nn.Module, batch: int) -> nn.Module:
    """The module to give to `torch.export` for so many images, with every weight under its name."""
    return network.exportable(batch) if isinstance(network, Precision) else network


def signal_to_noise(network: nn.Module) -> Mapping[str, float]:
    """Decibels by which each layer's signal exceeds the noise of its data type, by the names of calls; empty
    where they were not measured."""
    return network.signal_to_noise if isinstance(network, Precision) else {}


def architecture(network: nn.Module) -> nn.Module:
    """The network's layers as a module, whatever data type it computes in."""
    return network.network if isinstance(network, Precision) else network
