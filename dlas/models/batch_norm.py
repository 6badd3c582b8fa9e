"""Batch norm as part of the convolution before it: in eval mode both are linear."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _ConvolutionsWhole(fx.Tracer):
    """Traces a network without looking into convolutions, be they of a subclass with its own padding."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Whether the graph calls `module` as one operation."""
        return isinstance(module, nn.Conv2d) or super().is_leaf_module(module, qualified_name)


class ChannelAffine(nn.Module):
    """A multiplication and an addition per channel: what a batch norm in eval mode computes."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale.reshape(1, -1, 1, 1))
        self.register_buffer("shift", (norm.bias.detach() - norm.running_mean * scale).reshape(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scaled and shifted images: (N, C, H, W) to the same shape."""
        return images * self.scale + self.shift


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """`network` (in eval mode) without batch norms; the names of all other layers stay.

    A batch norm that alone reads a convolution is folded into its weight and bias (Jacob et al.,
    arXiv:1712.05877, section 3.2); any other becomes a multiplication and an addition.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    graph = _ConvolutionsWhole().trace(network)
    folded = fx.GraphModule(network, graph)
    modules = dict(folded.named_modules())
    for node in list(graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        source = node.args[0]
        convolution = modules.get(str(source.target)) if source.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(source.users) == 1:
            folded.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(source)
            graph.erase_node(node)
        else:
            folded.set_submodule(str(node.target), ChannelAffine(norm))
    folded.recompile()
    folded.delete_all_unused_submodules()
    return folded.eval()
