"""Multiply-accumulates of each layer of an exported network, for compilers whose files don't tell them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch._ops import OpOverload
    from torch.export import ExportedProgram
    from torch.fx import Node

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
LINEAR = "linear"


def of(program: ExportedProgram) -> list[Node]:
    """The convolutions and linear layers, in order: calls of PyTorch's operators on images and a weight."""
    import torch

    packets = [getattr(torch.ops.aten, name) for name in (*CONVOLUTIONS, *TRANSPOSED, LINEAR)]
    targets = [getattr(packet, overload) for packet in packets for overload in packet.overloads()]
    return [node for node in program.graph.nodes if node.target in targets]


def macs(layer: Node) -> int:
    """Multiply-accumulates of one run of the layer: each weight of an output channel meets every position of
    that channel, or of the input where the convolution is transposed."""
    images, weight = (cast("Node", read).meta["val"].shape for read in layer.args[:2])
    name = cast("OpOverload", layer.target).overloadpacket.__name__
    positions = images if name in TRANSPOSED else layer.meta["val"].shape
    count: int = prod(positions) * prod(weight[1:])
    return count
