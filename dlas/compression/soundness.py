"""Whether a network from which channels were removed is what is left of the whole one.

torch-pruning follows the graph that autograd keeps. What it does not know, it takes for an operation on each
element: reshapes with written-out numbers, shuffled channels, recurrent layers, weights that are computed. So
what it leaves is compared with the whole network whose removed weights are zero. The two are the same
function wherever channels meet in convolutions and linear layers alone. A normalization over several channels
makes other statistics of fewer: in both networks its place is taken by a function of each element, so that
what stands around it is compared.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from dlas.compression import channel_removal
from dlas.compression.channel_removal import Removal
from dlas.models import checkpoint, passage
from dlas.users_code import told

SAME = 1e-3
"""Answers that differ by less than this part of the largest one are the same: rounding differs by less."""


class Unsound(Exception):
    """A removal of channels that leaves another network than it should."""


def without(whole: nn.Module, images: torch.Tensor, fractions: Mapping[str, float]) -> nn.Module:
    """`channel_removal.without`, checked: `Unsound` unless the network, in eval mode, is `whole` without
    channels, runs in both modes, and can be restored from `whole` and its own weights."""
    try:
        removal = channel_removal.without(whole, images[:1], fractions)
    except Exception as error:  # torch-pruning raises whatever it likes
        raise Unsound(f"torch-pruning cannot remove them: {told(error)}") from error
    if removal.kept:
        _require_sound(whole, removal, images)
    return removal.network


def _require_sound(whole: nn.Module, removal: Removal, images: torch.Tensor) -> None:
    smaller = removal.network
    if smaller.state_dict().keys() != whole.state_dict().keys():
        raise Unsound("weights would get other names")
    if _sharing(smaller) != _sharing(whole):
        raise Unsound("layers that share a weight would no longer share it")
    if any(not indices.numel() for indices in removal.kept.values()):
        raise Unsound("nothing would be left of a layer")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        answers = _answers(smaller, images, "without them")
        if answers.shape != whole(images).shape:
            raise Unsound("they are the answers")
        _answers(copy.deepcopy(smaller).train(), images, "in training, without them,")
        if not torch.equal(_answers(_restored(whole, smaller), images, "restored without them"), answers):
            raise Unsound("another network would be restored without them")
        with _WithoutStatistics():
            found = _answers(smaller, images, "without them")
            expected = _answers(_masked(whole, removal.kept), images, "with zeros in their place")
        if not _close(found, expected):
            raise Unsound("without them other channels would change")


def _sharing(network: nn.Module) -> Collection[frozenset[str]]:
    """The names of each parameter."""
    names = defaultdict(set)
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names[id(parameter)].add(name)
    return set(map(frozenset, names.values()))


def _restored(whole: nn.Module, smaller: nn.Module) -> nn.Module:
    """What `checkpoint.load_resized` would give."""
    restored = copy.deepcopy(whole)
    try:
        checkpoint.fill_resized(restored, smaller.state_dict(), "")
    except Exception as error:  # whatever a layer of a user's own raises
        raise Unsound(f"nothing can be restored without them: {told(error)}") from error
    return restored


def _answers(network: nn.Module, images: torch.Tensor, when: str) -> torch.Tensor:
    with passage.watched(network) as way:
        try:
            answers = network(images)
        except Exception as error:  # a user's own forward may raise anything
            raise Unsound(f"{when} the network fails in {way.innermost}: {told(error)}") from error
    assert isinstance(answers, torch.Tensor)
    return answers


def _masked(whole: nn.Module, kept: Mapping[str, torch.Tensor]) -> nn.Module:
    masked = copy.deepcopy(whole)
    for name, parameter in masked.named_parameters():
        mask = torch.zeros(parameter.numel(), dtype=parameter.dtype)
        mask[kept[name].flatten()] = 1
        parameter.data = parameter * mask.reshape(parameter.shape)
    return masked


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    difference, largest = (one - other).abs().max(), other.abs().max()
    return bool(difference <= SAME * largest)


def _layer_norm(
    values: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float | None = None,
) -> torch.Tensor:
    return _scaled(F.softsign(values), weight, bias)


def _group_norm(
    values: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float | None = None,
) -> torch.Tensor:
    over_planes = (-1, *[1] * (values.dim() - 2))
    scale, shift = (None if each is None else each.reshape(over_planes) for each in (weight, bias))
    return _scaled(F.softsign(values), scale, shift)


def _scaled(values: torch.Tensor, scale: torch.Tensor | None, shift: torch.Tensor | None) -> torch.Tensor:
    values = values if scale is None else values * scale
    return values if shift is None else values + shift


ELEMENTWISE: Mapping[Callable[..., Any], Callable[..., torch.Tensor]] = {
    F.layer_norm: _layer_norm,
    F.group_norm: _group_norm,
}


class _WithoutStatistics(TorchFunctionMode):
    """A normalization over several channels as a bounded function of each element, with its scale and
    shift."""

    def __torch_function__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return ELEMENTWISE.get(function, function)(*args, **(kwargs or {}))
