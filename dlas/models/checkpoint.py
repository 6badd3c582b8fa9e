"""The weights of a network as a safetensors file, which unlike a pickle holds nothing that could run."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dlas.errors import UserError
from dlas.models.layer_kinds import CHANNEL_NORMS, CONVOLUTIONS

SHOWN_NAMES = 3


def save(model: nn.Module, path: Path) -> None:
    """Write parameters and buffers under their names in `state_dict`: all of them, also where several names
    are of one tensor."""
    state = model.state_dict().items()
    save_file({name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state}, path)


def load(model: nn.Module, path: Path) -> None:
    """Fill `model` in place; UserError where the file does not hold exactly its names and shapes."""
    weights = _read(path)
    require_same_names(model, weights, str(path))
    for name, tensor in model.state_dict().items():
        if tensor.shape != weights[name].shape:
            raise _misfit(name, f"{tuple(tensor.shape)} in the model", weights[name], str(path))
    fill(model, weights)


def load_resized(model: nn.Module, path: Path) -> None:
    """Fill `model` in place, each layer resized to its shapes in the file: `fill_resized`."""
    fill_resized(model, _read(path), str(path))


def fill_resized(model: nn.Module, weights: Mapping[str, torch.Tensor], key: str) -> None:
    """Fill `model` in place, each parameter and buffer resized to its shape in `weights`.

    This restores a channel-pruned network from a freshly built one. UserError, blaming `key`, where the names
    differ, or a tensor is no part of the model's.
    """
    require_same_names(model, weights, key)
    depthwise = [layer for layer in model.modules() if _depthwise(layer)]
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in weights:
            if not _is_part(weights[name].shape, tensor.shape):
                raise _misfit(name, f"no part of {tuple(tensor.shape)} in the model", weights[name], key)
            tensor.data = tensor.new_empty(weights[name].shape)
    for layer in model.modules():
        _follow_shapes(layer, depthwise=layer in depthwise)
    fill(model, weights)


def fill(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Fill `model` in place as `load_state_dict` does, also its tensors that repeat an element (`expand`)."""
    for tensor in (*model.parameters(), *model.buffers()):
        if 0 in tensor.stride():
            tensor.data = tensor.contiguous()
    model.load_state_dict(weights)


def _misfit(name: str, wanted: str, found: torch.Tensor, key: str) -> UserError:
    return UserError(
        f"{name} is {tuple(found.shape)} in the file and {wanted}",
        key=key,
        remedy="give the weights of the same architecture and number of classes",
    )


def _is_part(shape: torch.Size, whole: torch.Size) -> bool:
    return len(shape) == len(whole) and all(map(operator.le, shape, whole))


def _depthwise(layer: nn.Module) -> bool:
    """Whether pruning takes a group from the convolution with each channel: every channel has its own."""
    return isinstance(layer, CONVOLUTIONS) and layer.groups == layer.out_channels > 1


def _follow_shapes(layer: nn.Module, *, depthwise: bool) -> None:
    """Set what a layer knows of its width to what its resized tensors say. A depthwise convolution stays
    depthwise; any other keeps its number of groups."""
    if isinstance(layer, CONVOLUTIONS):
        first, second, *_ = layer.weight.shape
        layer.groups = first if depthwise else layer.groups
        if layer.transposed:
            layer.in_channels, layer.out_channels = first, second * layer.groups
        else:
            layer.in_channels, layer.out_channels = second * layer.groups, first
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, CHANNEL_NORMS):
        for tensor in (layer.weight, layer.running_mean):
            layer.num_features = layer.num_features if tensor is None else len(tensor)
    elif isinstance(layer, nn.GroupNorm) and layer.affine:
        layer.num_channels = len(layer.weight)
    elif isinstance(layer, nn.LayerNorm) and layer.elementwise_affine:
        layer.normalized_shape = tuple(layer.weight.shape)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(layer.weight)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot be read: {error}", key=str(path), remedy="give a .safetensors file"
        ) from error


def require_same_names(model: nn.Module, weights: Mapping[str, torch.Tensor], key: str) -> None:
    """UserError, blaming `key`, unless the weights have the model's names and no others."""
    names = model.state_dict().keys()
    missing, unknown = names - weights.keys(), weights.keys() - names
    if missing or unknown:
        differences = [f"{text}: {_some(found)}" for text, found in _labeled(missing, unknown) if found]
        raise UserError(
            f"these are the weights of another architecture ({'; '.join(differences)})",
            key=key,
            remedy="give the weights of the same model",
        )


def _labeled(missing: set[str], unknown: set[str]) -> list[tuple[str, set[str]]]:
    return [("missing", missing), ("not in the model", unknown)]


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
