"""Weights from elsewhere: state dicts as they are published, read so that nothing in them can run.

A .pth or .pt file is read by `torch.load(weights_only=True)`. What training scripts wrap around a state dict
is taken off, which the log says: an enclosing dict, and the prefix of a network that was wrapped itself.
"""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dlas import config, models
from dlas.errors import UserError
from dlas.files import weights_file
from dlas.files.weights_file import KEY
from dlas.interfaces.images import ImageDataset
from dlas.models.checkpoint import fill, require_same_names

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.")
"""Prefixes of names in the state dicts of wrapped networks: by nn.DataParallel and DistributedDataParallel,
and by torch.compile."""
DOTTED_LAYER = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names of DenseNet's layers from the time when names of modules could have dots; published files still have
them."""
COUNTER = ".num_batches_tracked"
"""Batch norm's count of its training steps, kept since PyTorch 0.4.1; older files lack it, and inference has
no use for it."""
FORBIDDEN = re.compile(r"GLOBAL (?P<name>[\w.]+)")

log = logging.getLogger(__name__)

StateDict = dict[str, torch.Tensor]


def check(model: config.Model, dataset: config.Dataset) -> None:
    """Refuse given weights as `load` would, before anything is made: no image is read for it.

    Nothing is refused where no weights are given, and where only the images tell the number of classes.
    """
    if model.weights is None or dataset.classes is None:
        return
    network = models.build(model, dataset.classes)
    _fitting(network, weights_file.find(model.weights), dataset.name, dataset.classes)


def load(model: nn.Module, path: Path, dataset: ImageDataset) -> None:
    """Fill `model`, built for the dataset's classes, in place.

    UserError where the file cannot be read or holds more than tensors, where its names or shapes are those of
    another architecture or number of classes, and where a value is not finite.
    """
    log.info("%s: the dense network is %s; it is not trained", KEY, path)
    fill(model, _fitting(model, path, dataset.name, dataset.classes))


def _fitting(model: nn.Module, path: Path, dataset: str, classes: int) -> StateDict:
    """The weights in the file, once they are found to fit `model`, which was built for `classes`."""
    found = read(path)
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name.endswith(COUNTER):
            found.setdefault(name, tensor)
    require_same_names(model, found, KEY)
    _require_same_shapes(expected, found, dataset, classes)
    for name, tensor in found.items():
        if not bool(tensor.isfinite().all()):
            raise UserError(
                f"{name} in {path.name} has values that are not finite", key=KEY, remedy="other weights"
            )
    return found


def read(path: Path) -> StateDict:
    """The tensors in the file by the names that torchvision gives them now; UserError where it holds none."""
    state = _state_dict(_content(path), path)
    return {DOTTED_LAYER.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def _require_same_shapes(expected: StateDict, found: StateDict, dataset: str, classes: int) -> None:
    """UserError unless all shapes agree. Where only the rows of the last layer differ, it tells of the number
    of classes."""
    different = [name for name, tensor in expected.items() if tensor.shape != found[name].shape]
    if not different:
        return
    layers = [name.rpartition(".")[0] for name, tensor in expected.items() if tensor.dim() > 1]
    classifier = layers[-1] if layers else None
    name = different[0]
    given, wanted = found[name].shape, expected[name].shape
    rows_alone = len(given) == len(wanted) and given[1:] == wanted[1:]
    if rows_alone and all(name.rpartition(".")[0] == classifier for name in different):
        raise UserError(
            f"the weights are for {given[0]} classes, and '{dataset}' has {classes}",
            key=KEY,
            remedy=f"weights for {classes} classes, or a dataset= of {given[0]}",
        )
    raise UserError(
        f"these are the weights of another architecture: {name} is {tuple(given)} in the file and "
        f"{tuple(wanted)} in the network",
        key=KEY,
        remedy="the weights of the same model=",
    )


def _content(path: Path) -> Any:
    """The content of the file, of whatever type; UserError where it is broken or would run code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        forbidden = FORBIDDEN.search(str(error))
        if forbidden is None:
            raise _unreadable(path, "it is no file that torch.save wrote") from None
        raise UserError(
            f"{path} is refused: it holds {forbidden['name']} besides weights, and could run code",
            key=KEY,
            remedy="where you trust it, load it yourself and save only its state_dict()",
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise _unreadable(path, str(error).partition("\n")[0] or type(error).__name__) from None


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(f"cannot read {path}: {reason}", key=KEY, remedy="a .pth, .pt or .safetensors file")


def _state_dict(content: Any, path: Path) -> StateDict:
    """The mapping of names to tensors, with what was wrapped around it taken off."""
    wrapper = next((name for name in WRAPPERS if isinstance(content, Mapping) and name in content), None)
    if wrapper is not None and isinstance(content[wrapper], Mapping):
        log.info("%s: taken from '%s' in the file", KEY, wrapper)
        content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise _unreadable(path, "it holds no state dict")
    others = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise _unreadable(path, f"beside tensors it holds {', '.join(sorted(others)[:3])}")
    state = {str(name): tensor for name, tensor in content.items()}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            log.info("%s: every name in the file starts with '%s', which is taken off", KEY, prefix)
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
