"""Layer 2: networks in plain torch.nn, one file per family, and the functions that train, count and save any
of them.

A network is declared by its factory, `(classes: int) -> torch.nn.Module`: by the name of one of these, or the
dotted path of a user's own.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING

from dlas.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from dlas import config


def build(model: config.Model, classes: int, seed: int = 0) -> nn.Module:
    """The declared network with weights drawn from `seed`; the global random state is left as it was."""
    import torch

    module_name, _, function_name = model.implementation.rpartition(".")
    try:
        factory = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"cannot import the factory {model.implementation!r}: {error}",
            key="model.factory",
            remedy="give the dotted name of a function (classes: int) -> torch.nn.Module",
        ) from error
    if not _takes_one(factory):
        raise UserError(
            f"{model.implementation!r} cannot be called with the number of classes",
            key="model.factory",
            remedy="a function (classes: int) -> torch.nn.Module",
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = factory(classes)
    if not isinstance(network, torch.nn.Module):
        raise UserError(
            f"{model.implementation!r} gives a {type(network).__name__}",
            key="model.factory",
            remedy="a function (classes: int) -> torch.nn.Module",
        )
    return network


def _takes_one(factory: object) -> bool:
    """Whether the factory can be called with one argument, as far as Python can tell."""
    if not callable(factory):
        return False
    try:
        inspect.signature(factory).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in one does not tell
        return True
    return True
