"""How much of its signal each layer of a quantized network keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from dlas.models.graph.layers import CONVOLUTIONS, LINEAR

LOST = 10.0
"""Decibels below which a layer is said to have lost its signal: the noise is a third of it, or more.

Of this package's networks, untrained or trained on digits, no layer is below 13. Where one branch drowns the
other, and where a scale has a floor above all values, layers are at 0 and below.
"""

LARGEST = 100.0
"""Decibels of a layer without any noise, or without a signal that noise could drown."""

ROUNDING = 1e-12
"""Variance, over the mean square, of what float32 alone makes of a value that is always the same."""


def signal_to_noise(exact: GraphModule, quantized: GraphModule, images: torch.Tensor) -> list[float]:
    """Decibels by which the signal in each layer's output exceeds what quantization adds to it, in the order
    of `layer_names`.

    The signal is how the output of the network `exact` differs from one image and place to another: its
    variance, in each channel. The noise is the mean square of its difference from the output of the network
    `quantized`, where every layer reads what the layers before it made of the images (N, C, H, W).
    """
    sums = [_Sums() for _ in layer_names(exact)]
    with torch.no_grad():
        for image in images:
            outputs = _outputs(exact, image[None]), _outputs(quantized, image[None])
            for each, output, noisy in zip(sums, *outputs, strict=True):
                each.add(output, noisy)
    return [each.decibels for each in sums]


def layer_names(graph: GraphModule) -> list[str]:
    """The calls of layers in the order in which they run, each named by its weight."""
    return [_weight(node).removesuffix(".weight") for node in graph.graph.nodes if _is_layer(node)]


def layers_without_signal(decibels: Mapping[str, float]) -> str:
    """The layers that lost their signal, each with its decibels, for a reader; "" for none."""
    return ", ".join(f"{name} ({ratio:.0f} dB)" for name, ratio in decibels.items() if ratio < LOST)


class _Sums:
    """Sums over the outputs of one layer, by channel."""

    def __init__(self) -> None:
        self.count = 0
        self.values = self.squares = self.noise = torch.zeros(())

    def add(self, output: torch.Tensor, noisy: torch.Tensor) -> None:
        """Add outputs (N, channels)."""
        self.count += len(output)
        self.values = self.values + output.sum(0)
        self.squares = self.squares + output.square().sum(0)
        self.noise = self.noise + (output - noisy).square().sum(0)

    @property
    def decibels(self) -> float:
        power, noise = float(self.squares.sum()), float(self.noise.sum())
        signal = float((self.squares - self.values.square() / self.count).sum())
        if noise == 0 or signal <= ROUNDING * power:
            return LARGEST
        return min(10 * math.log10(signal / noise), LARGEST)


class _Recorder(Interpreter):
    """Runs a network and keeps what its layers give: (N, channels) float64 each."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.outputs: list[torch.Tensor] = []

    def run_node(self, n: Node) -> Any:
        """Give the node's result."""
        result = super().run_node(n)
        if _is_layer(n):
            by_channel = result if str(n.target) == LINEAR else result.movedim(1, -1)
            self.outputs.append(by_channel.reshape(-1, by_channel.shape[-1]).double())
        return result


def _outputs(graph: GraphModule, images: torch.Tensor) -> list[torch.Tensor]:
    recorder = _Recorder(graph)
    recorder.run(images)
    return recorder.outputs


def _is_layer(node: Node) -> bool:
    return str(node.target) in {*CONVOLUTIONS, LINEAR} and bool(_weight(node))


def _weight(layer: Node) -> str:
    """Name of the parameter that the layer's weight is made of, observed or quantized; "" where it is made of
    the images."""
    source = layer.args[1]
    while isinstance(source, Node) and source.op != "get_attr":
        source = source.all_input_nodes[0] if source.all_input_nodes else None
    return str(source.target) if isinstance(source, Node) else ""
