"""A network as the steps of compression would leave it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from dlas import models
from dlas.errors import UserError
from dlas.users_code import told

if TYPE_CHECKING:
    from torch import nn

    from dlas import config
    from dlas.models.trial import Trial


def untrained(trial: Trial, steps: Sequence[config.Compression]) -> nn.Module:
    """The network with the weights that it starts with, as the steps would leave it."""
    network = models.build(trial.model, trial.classes).eval()
    for step in steps:
        network = _compressed(network, trial, step)
    return network


def _compressed(network: nn.Module, trial: Trial, step: config.Compression) -> nn.Module:
    try:
        made: nn.Module = import_module(step.implementation).rehearse(network, trial.image_shape, step)
    except UserError:
        raise
    except Exception as error:  # a user's own step may raise anything
        raise UserError(
            f"{step.name} cannot serve {trial.factory}: {told(error)}",
            key=step.key,
            remedy="leave it out for this network",
        ) from error
    return made.eval()
