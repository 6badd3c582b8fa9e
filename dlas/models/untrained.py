"""A network before it is trained, as an input of its training: by what it computes and by its weights.

What it computes are the operations that PyTorch carries out for two blank images on the CPU, with their
operands and their constants, in training and in evaluation, recorded where PyTorch dispatches them. That is
the level at which `torch.export` writes a graph down, and it is there for every network that runs: of one
whose way depends on its images it is the way of blank ones, and its code counts beside it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from dlas.errors import UserError
from dlas.files.keyed import Keyed

IMAGES = 2
"""Blank images to run: batch norm trains on no fewer."""

PLAIN = (bool, int, float, str, torch.dtype, torch.device, torch.layout, torch.memory_format)


@dataclass(frozen=True, eq=False)
class Architecture(Keyed):
    """A network whose weights are still to be read from a file."""

    module: nn.Module
    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    code: str
    """Dotted name of the module that made the network."""

    @cached_property
    def graph(self) -> str:
        """The sha256 (hex) of the network's operations, and of the names and shapes of its weights.

        UserError where it can't run on such images.
        """
        state = [[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in _state(self.module)]
        trainable = [[name, each.requires_grad] for name, each in self.module.named_parameters()]
        try:
            runs = [operations(self.module, self.image_shape, training=mode) for mode in (True, False)]
        except Exception as error:  # a user's own code may raise anything
            shape = "x".join(map(str, self.image_shape))
            raise UserError(
                f"the network does not run on {IMAGES} images of {shape}: {str(error).partition(chr(10))[0]}",
                key="model.factory",
                remedy="a network that takes such images, as many at once as it is given",
            ) from error
        return hashlib.sha256(json.dumps([state, trainable, *runs]).encode()).hexdigest()

    @property
    def digest(self) -> str:
        """The sha256 (hex) of the graph."""
        return self.graph


@dataclass(frozen=True, eq=False)
class Untrained(Architecture):
    """A network with the weights that its training starts from."""

    @cached_property
    def digest(self) -> str:
        """The sha256 (hex) of the graph and of every weight."""
        found = hashlib.sha256(self.graph.encode())
        for name, tensor in _state(self.module):
            found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            found.update(_content(tensor))
        return found.hexdigest()


def operations(module: nn.Module, image_shape: tuple[int, int, int], *, training: bool) -> list[str]:
    """PyTorch's operations for `IMAGES` images, one a line with its name, operands and results, and then the
    results that the network returns.

    Weights go by their names, results by numbers in the order in which they come up, and every other tensor,
    which is a constant, by its content.
    """
    shadow = copy.deepcopy(module).train(training)
    images = torch.zeros(IMAGES, *image_shape)
    recorder = _Recorder([*_state(shadow), ("images", images)])
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # a way that depends on chance is the same each time
        with recorder:
            answer = shadow(images)
    return [*recorder.lines, recorder.told(answer)]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, known: Sequence[tuple[str, torch.Tensor]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: list[str] = []
        self._names: MutableMapping[torch.Tensor, str] = WeakTensorKeyDictionary()
        self._count = 0
        for name, tensor in known:
            self._names[tensor] = name

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = self.told((args, kwargs or {}))
        result = function(*args, **(kwargs or {}))
        self.lines.append(f"{function} {given} {tree_map(self._result, result)}")
        return result

    def told(self, values: Any) -> str:
        """The text of values that an operation takes, or that the network returns."""
        return str(tree_map(self._operand, values))

    def _operand(self, value: Any) -> str:
        if isinstance(value, torch.Tensor) and value not in self._names:
            self._names[value] = f"constant {hashlib.sha256(_content(value)).hexdigest()}"
        return self._told(value)

    def _result(self, value: Any) -> str:
        if isinstance(value, torch.Tensor) and value not in self._names:
            self._names[value] = f"%{self._count}"
            self._count += 1
        return self._told(value)

    def _told(self, value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return f"{self._names[value]}:{value.dtype}{list(value.shape)}"
        return repr(value) if value is None or isinstance(value, PLAIN) else type(value).__name__


def _content(tensor: torch.Tensor) -> memoryview:
    """The bytes of the tensor's elements, in their order."""
    elements = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return elements.numpy().data


def _state(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers by name, with those that no state dict has."""
    return [*module.named_parameters(), *module.named_buffers()]
