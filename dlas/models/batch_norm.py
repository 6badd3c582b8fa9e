"""Batch norm as part of the convolution before it: in eval mode both are linear."""

from __future__ import annotations

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _ConvolutionsWhole(fx.Tracer):
    """Traces a network without looking into convolutions, be they of a subclass with its own padding."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Whether the graph calls `module` as one."""
        return isinstance(module, nn.Conv2d) or super().is_leaf_module(module, qualified_name)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """`network` (in eval mode) without the batch norms that alone read a convolution; names stay.

    Each folds into the weight and bias of its convolution (Jacob et al., arXiv:1712.05877, section 3.2).
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
    folded.recompile()
    folded.delete_all_unused_submodules()
    return folded.eval()
