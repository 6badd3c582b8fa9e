"""Layer 2: networks in plain torch.nn, one file per family, and what is done with any of them.

A network is declared by its factory, `(classes: int) -> torch.nn.Module`: by the name of one of these, or the
dotted path of a user's own.
"""

from __future__ import annotations

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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: nn.Module = factory(classes)
    return network
