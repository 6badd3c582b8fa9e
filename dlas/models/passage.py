"""The way of images through a network, layer by layer, as hooks of PyTorch see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

WHOLE = "its own forward"
"""The name of the network itself, which has none."""


@dataclass(frozen=True)
class Crossing:
    """Tensors that go into a layer, or come out of it."""

    place: str
    """Whose work they are, for a person: a layer, or the forward around a layer that they go into."""
    tensors: tuple[torch.Tensor, ...]


@dataclass
class Passage:
    """One run of a network."""

    inside: list[str] = field(default_factory=list)
    """The layers that were entered and not left, outermost first."""
    crossings: list[Crossing] = field(default_factory=list)

    @property
    def innermost(self) -> str:
        """The layer that is at work; after an exception the one that raised it."""
        return self.inside[-1] if self.inside else WHOLE


@contextmanager
def watched(network: nn.Module, *, keep: bool = False) -> Iterator[Passage]:
    """Follow what runs of the network. With `keep` copies of all tensors are kept."""
    passage = Passage()
    hooks = []
    for name, module in network.named_modules():
        layer = f"the layer {name}" if name else WHOLE
        hooks.append(module.register_forward_pre_hook(_entering(passage, layer, keep), with_kwargs=True))
        hooks.append(module.register_forward_hook(_leaving(passage, layer, keep)))
    try:
        yield passage
    finally:
        for hook in hooks:
            hook.remove()


def first(crossings: Iterable[Crossing], is_odd: Callable[[torch.Tensor], bool]) -> str | None:
    """The first place with an odd tensor."""
    return next((each.place for each in crossings if any(map(is_odd, each.tensors))), None)


def first_difference(
    one: Passage, other: Passage, differ: Callable[[torch.Tensor, torch.Tensor], bool]
) -> str | None:
    """The first place where two runs differ."""
    for here, there in zip(one.crossings, other.crossings, strict=False):
        if here.place != there.place or any(map(differ, here.tensors, there.tensors)):
            return here.place
    return None


def _entering(passage: Passage, layer: str, keep: bool) -> Callable[[nn.Module, Any, Any], None]:
    def enter(module: nn.Module, given: Any, named: Any) -> None:
        around = f"{passage.innermost}, before {layer}" if passage.inside else "its input"
        if keep:
            passage.crossings.append(Crossing(around, _copies((given, named))))
        passage.inside.append(layer)

    return enter


def _leaving(passage: Passage, layer: str, keep: bool) -> Callable[[nn.Module, Any, Any], None]:
    def leave(module: nn.Module, given: Any, answer: Any) -> None:
        passage.inside.pop()
        if keep:
            passage.crossings.append(Crossing(layer, _copies(answer)))

    return leave


def _copies(values: Any) -> tuple[torch.Tensor, ...]:
    """Since a later layer may write over what an earlier one gave."""
    return tuple(leaf.detach().clone() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))
