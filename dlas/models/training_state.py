"""The state of a training between two steps: all that decides how it goes on, to the last bit.

Tensors are kept with their strides: PyTorch may round otherwise where one lies otherwise in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from dlas.files.checkpoints import State

MODEL, OPTIMIZER, AFTER_STEP, RANDOM = "model.", "optimizer.", "after_step.", "random."
"""Beginnings of the names of tensors in a state."""


@dataclass(frozen=True)
class Place:
    """A place in a training."""

    epoch: int = 0
    """The epoch that is going on, from 0."""
    step: int = 0
    """Number of its steps that are done."""
    correct: int = 0
    """Images of this epoch that were answered right."""
    seen: int = 0
    """Images of this epoch that were trained on."""

    def after(self, correct: int, seen: int) -> Place:
        """The place after one more step, with so many images, and so many of them answered right."""
        return Place(self.epoch, self.step + 1, self.correct + correct, self.seen + seen)


@dataclass(frozen=True)
class Parts:
    """All parts of a training that a step changes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    random: np.random.Generator
    """What the order of the images and their variations are drawn from."""
    device: torch.device

    def state(self, place: Place, order_from: Mapping[str, Any], beside: Mapping[str, torch.Tensor]) -> State:
        """The state at the place. `order_from` is the generator's state from which the order of this epoch
        was drawn; `beside` is kept with it."""
        optimizer = self.optimizer.state_dict()
        found = {MODEL + name: tensor for name, tensor in _tensors(self.model).items()}
        scalars: dict[str, dict[str, Any]] = {}
        for index, values in optimizer["state"].items():
            scalars[str(index)] = {name: one for name, one in values.items() if not _is_tensor(one)}
            found |= {f"{OPTIMIZER}{index}.{name}": one for name, one in values.items() if _is_tensor(one)}
        found |= {AFTER_STEP + name: tensor for name, tensor in beside.items()}
        found |= {RANDOM + name: tensor for name, tensor in self._torch_random().items()}
        return State(
            {
                "place": vars(place),
                "order_from": _as_text(order_from),
                "random": _as_text(self.random.bit_generator.state),
                "optimizer": {"groups": optimizer["param_groups"], "state": scalars},
                "schedule": self.schedule.state_dict(),
                "strides": {name: _stride(tensor) for name, tensor in found.items()},
            },
            {name: _copied(tensor) for name, tensor in found.items()},
        )

    def restore(self, state: State) -> tuple[Place, Mapping[str, Any], Mapping[str, torch.Tensor]]:
        """Bring all parts to the state; returns what `state` was given."""
        values = state.values
        found = {
            name: _strided(tensor, values["strides"][name], self.device)
            for name, tensor in state.tensors.items()
        }
        _fill(self.model, _of(found, MODEL))
        kept: dict[int, dict[str, Any]] = {
            int(index): dict(scalars) for index, scalars in values["optimizer"]["state"].items()
        }
        for name, tensor in _of(found, OPTIMIZER).items():
            index, _, entry = name.partition(".")
            kept[int(index)][entry] = tensor
        self.optimizer.load_state_dict({"state": kept, "param_groups": values["optimizer"]["groups"]})
        self.schedule.load_state_dict(values["schedule"])
        self.random.bit_generator.state = _from_text(values["random"])
        self._set_torch_random(_of(state.tensors, RANDOM))
        return Place(**values["place"]), _from_text(values["order_from"]), _of(found, AFTER_STEP)

    def _torch_random(self) -> dict[str, torch.Tensor]:
        """The states of the generators that layers such as dropout draw from."""
        found = {"cpu": torch.get_rng_state()}
        if self.device.type != "cpu":
            found["device"] = torch.get_device_module(self.device).get_rng_state(self.device)
        return found

    def _set_torch_random(self, states: Mapping[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self.device.type != "cpu":
            torch.get_device_module(self.device).set_rng_state(states["device"], self.device)


def kept_elsewhere(model: nn.Module) -> set[tuple[str, str]]:
    """What the layers keep that is no parameter, no buffer and no layer: names of attributes, each with a
    text of its value. Of values that are not plain the text is of their type alone."""
    common = vars(nn.Module()).keys()
    return {
        (f"{name}.{attribute}".lstrip("."), _text(value))
        for name, layer in model.named_modules()
        for attribute, value in vars(layer).items()
        if attribute not in common
    }


def _text(value: object) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
        content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        return hashlib.sha256(content.data).hexdigest()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(name)}: {_text(each)}' for name, each in value.items())}}}"
    return type(value).__name__


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, with those that no state dict has."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _fill(model: nn.Module, saved: Mapping[str, torch.Tensor]) -> None:
    present = _tensors(model)
    with torch.no_grad():
        for name, tensor in saved.items():
            there = present.get(name)
            if there is None:  # a buffer that was None at first
                layer, _, attribute = name.rpartition(".")
                setattr(model.get_submodule(layer), attribute, tensor)
            elif there.shape == tensor.shape and there.stride() == tensor.stride():
                there.copy_(tensor)
            else:
                there.data = tensor


def _of(tensors: Mapping[str, torch.Tensor], beginning: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(beginning): tensor for name, tensor in tensors.items() if name.startswith(beginning)
    }


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _stride(tensor: torch.Tensor) -> list[int]:
    """The strides of the tensor; of one that repeats elements those of a copy that does not."""
    return list((tensor.contiguous() if 0 in tensor.stride() else tensor).stride())


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _strided(tensor: torch.Tensor, strides: list[int], device: torch.device) -> torch.Tensor:
    found = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=device)
    return found.copy_(tensor)


def _as_text(state: Any) -> Any:
    """The state of a NumPy generator with its whole numbers, of 128 bits, as text."""
    if isinstance(state, Mapping):
        return {name: _as_text(value) for name, value in state.items()}
    return f"0x{state:x}" if isinstance(state, int) else state


def _from_text(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {name: _from_text(value) for name, value in state.items()}
    return int(state, 16) if isinstance(state, str) and state.startswith("0x") else state
