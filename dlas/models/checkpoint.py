"""The weights of a network as a safetensors file, which unlike a pickle holds nothing that could run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dlas.errors import UserError

SHOWN_NAMES = 3


def save(model: nn.Module, path: Path) -> None:
    """Write parameters and buffers under their names in `state_dict`."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def load(model: nn.Module, path: Path) -> None:
    """Fill `model` in place; UserError where the file does not hold exactly its names and shapes."""
    weights = _read(path)
    require_same_names(model, weights, str(path))
    for name, tensor in model.state_dict().items():
        if tensor.shape != weights[name].shape:
            raise UserError(
                f"{name} is {tuple(weights[name].shape)} in the file and {tuple(tensor.shape)} in the model",
                key=str(path),
                remedy="give the weights of the same architecture and number of classes",
            )
    model.load_state_dict(weights)


def load_resized(model: nn.Module, path: Path) -> None:
    """Fill `model` in place, each layer resized to the shapes in the file.

    This restores a channel-pruned network from a freshly built one: pruning changes the channel counts of
    convolutions, batch norms and linear layers, and nothing else. UserError where the names differ, or
    a shape other than those.
    """
    weights = _read(path)
    require_same_names(model, weights, str(path))
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            _resize_convolution(module, weights[f"{name}.weight"].shape)
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = weights[f"{name}.weight"].shape
        elif isinstance(module, nn.BatchNorm2d):
            (module.num_features,) = weights[f"{name}.running_mean"].shape
        else:
            continue
        for kind, tensor in module.named_parameters(recurse=False):
            tensor.data = torch.empty_like(weights[f"{name}.{kind}"])
        for kind, _ in module.named_buffers(recurse=False):
            module.register_buffer(kind, torch.empty_like(weights[f"{name}.{kind}"]))
    load(model, path)


def _resize_convolution(layer: nn.Conv2d, weight_shape: torch.Size) -> None:
    """Resize a convolution to the weight's shape. A depthwise one stays depthwise; any other keeps its number
    of groups."""
    out_channels, group_in_channels, *_ = weight_shape
    if layer.groups == layer.in_channels:
        layer.groups = out_channels * layer.groups // layer.out_channels
    layer.in_channels = group_in_channels * layer.groups
    layer.out_channels = out_channels


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
