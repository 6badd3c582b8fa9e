"""A network in eval mode as `torch.export` writes it down, made ready for whatever runs it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.exported_program import _decompose_exported_program

from dlas.errors import UserError
from dlas.models import passage
from dlas.models.graph import decompositions, state
from dlas.models.graph.batch_norm import fold_batch_norm
from dlas.models.graph.constants import compute_constants
from dlas.models.graph.layers import give_own_weights
from dlas.users_code import told


def exported(network: nn.Module, images: torch.Tensor, dynamic_shapes: Any = None) -> ExportedProgram:
    """The network for images (N, C, H, W) of that shape: constants computed, batch norm folded, and every
    call of a layer with a weight of its own.

    `dynamic_shapes` is what `torch.export` takes. UserError where it cannot write the network down, such as
    for a forward that decides by the values of its images.
    """
    with torch.no_grad(), _quiet(), passage.watched(network) as way:
        try:
            program = torch.export.export(network, (images,), dynamic_shapes=dynamic_shapes)
        except Exception as error:  # whatever a user's forward or the export of it raises
            raise UserError(
                f"the network cannot be written down by torch.export, in {way.innermost}: {told(error)}",
                key="model",
                remedy="a forward whose way depends on the shapes of its images, not on their values",
            ) from error
    compute_constants(program)
    fold_batch_norm(program)
    return program


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """The program by the few operators that a compiler knows (`decompositions`). Linear layers stay what they
    are, and every call of a layer that an operator was made of (a step of a GRU) has a weight of its own too.
    """
    with torch.no_grad(), _quiet():
        tables = decompositions.tables()
        smaller: ExportedProgram = _decompose_exported_program(
            program,
            cia_to_decomp=dict(tables.composite),
            python_decomp_table=dict(tables.plain),
            joint_loss_index=None,
            decompose_custom_triton_ops=False,
        )
    state.drop_updates(smaller)
    compute_constants(smaller)
    give_own_weights(smaller, {})
    return smaller


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warnings about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
