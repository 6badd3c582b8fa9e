"""Removal of channels from a network by torch-pruning, which finds the channels that belong together."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch_pruning.pruner import MagnitudePruner


@dataclass(frozen=True)
class Removal:
    """A network without some of its channels."""

    network: nn.Module
    kept: Mapping[str, torch.Tensor]
    """The elements of each of its parameters, as their flat indices in the parameter of the whole network;
    empty where nothing was removed."""


def without(whole: nn.Module, images: torch.Tensor, fractions: Mapping[str, float]) -> Removal:
    """`whole` without these fractions of its layers' output channels, by name, and what belongs to them.

    Channels that belong to those of other layers stay. Any exception where torch-pruning cannot do it.

    Which channels go is decided on the weights. Before they go, each parameter is filled with the indices of
    its own elements, so that what is left of them tells what was kept.
    """
    import torch

    smaller = copy.deepcopy(whole)
    before = dict(whole.named_parameters(remove_duplicate=False))
    for parameter in smaller.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # it is traced by its gradients
    removed = False
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group in _pruner(smaller, images, fractions).step(interactive=True):
            if not removed:
                _fill_with_indices(smaller)
                removed = True
            group.prune()
    kept = {}
    if removed:
        found = list(smaller.named_parameters(remove_duplicate=False))
        kept = {name: parameter.detach().long() for name, parameter in found}
        for name, parameter in found:
            parameter.data = before[name].detach().flatten()[kept[name]]
    for name, parameter in smaller.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(before[name].requires_grad)
    return Removal(smaller, kept)


def _pruner(network: nn.Module, images: torch.Tensor, fractions: Mapping[str, float]) -> MagnitudePruner:
    from torch_pruning import importance
    from torch_pruning.pruner import MagnitudePruner

    from dlas.models.layer_kinds import WEIGHT_LAYERS

    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, WEIGHT_LAYERS)}
    return MagnitudePruner(
        network,
        (images,),
        importance.MagnitudeImportance(p=1, target_types=list(WEIGHT_LAYERS)),
        pruning_ratio=0.0,
        # The pruner's own rounding leaves a layer whole where fewer than `round_to` channels would remain.
        pruning_ratio_dict={layers[name]: fraction for name, fraction in fractions.items()},
        ignored_layers=[layer for name, layer in layers.items() if name not in fractions],
        root_module_types=list(WEIGHT_LAYERS),
        in_channel_groups={},
        out_channel_groups={},
        unwrapped_parameters=_planes(network),
    )


def _planes(network: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Parameters of the shape (1, C, H, W) that are no weight of a layer, with the dimension of their
    channels: torch-pruning would take the last one."""
    from dlas.models.layer_kinds import WEIGHT_LAYERS

    weights = {id(layer.weight) for layer in network.modules() if isinstance(layer, WEIGHT_LAYERS)}
    return [
        (parameter, 1)
        for parameter in network.parameters()
        if parameter.dim() == 4
        and parameter.shape[0] == 1 < parameter.shape[1]
        and id(parameter) not in weights
    ]


def _fill_with_indices(network: nn.Module) -> None:
    import torch

    for parameter in network.parameters():
        indices = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = indices.reshape(parameter.shape)
