"""A PyTorch network in Relax, with its parameters beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import tvm
from torch import nn
from torch.export import ExportedProgram
from tvm import relax

from dlas.models.graph.exporting import decomposed, exported
from dlas.models.graph.places import WRAPPER
from dlas.models.precision import Precision
from dlas.systems.graph import reshapes
from dlas.systems.graph.translation import translated


@dataclass(frozen=True)
class Imported:
    """An imported network: `main(input, *parameters)` as TVM's importer makes it, one dataflow block."""

    module: tvm.IRModule
    names: dict[relax.Var, str]
    """Names of the parameters, as in the PyTorch network's state dict; of a layer's second call, such as
    `features.3.call2.weight`."""
    values: dict[relax.Var, np.ndarray]
    """Values of the parameters."""


def import_network(model: nn.Module, input_shape: Sequence[int]) -> Imported:
    """The imported network (given in eval mode) for one input of `input_shape` (NCHW), batch norm folded.

    UserError where it cannot be exported, or has operators that cannot be compiled rightly.
    """
    program = decomposed(exported(model, torch.zeros(*input_shape)))
    return import_program(program, WRAPPER if isinstance(model, Precision) else "")


def import_program(program: ExportedProgram, wrapper: str = "") -> Imported:
    """The imported network of a decomposed program, whose parameters are called so without the prefix
    `wrapper`; UserError as from `import_network`."""
    module = translated(program)
    module, detached = relax.frontend.detach_params(module)
    module = reshapes.moved(module)
    signature = program.graph_signature
    state = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    parameters = module["main"].params[1:]
    return Imported(
        module=module,
        names={var: state[var.name].removeprefix(wrapper) for var in parameters},
        values={var: value.numpy() for var, value in zip(parameters, detached["main"], strict=True)},
    )
