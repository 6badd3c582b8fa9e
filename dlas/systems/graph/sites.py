"""The convolutions of an imported network, each with its weight and the operands of its epilogue."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from tvm import relax

from dlas.errors import UserError
from dlas.systems.graph.epilogues import FusedConv, Uses, fused_convolutions, variable_uses
from dlas.systems.graph.importing import Imported
from dlas.systems.graph.integer_convolutions import IntegerConv, integer_convolution


@dataclass(frozen=True)
class ConvSite:
    """A convolution of the network, whichever algorithm will serve it."""

    name: str
    """The layer's name in the PyTorch network, e.g. `layer1.0.conv1`."""
    conv: FusedConv
    weight: np.ndarray
    """Weight in OIHW, in the workload's data type."""
    operands: tuple[relax.Var, ...]
    """Operands after the weight: variables of the function, or new parameters."""
    arrays: Mapping[relax.Var, np.ndarray]
    """The values of the new parameters."""


def conv_sites(imported: Imported) -> list[ConvSite]:
    """The convolutions, in the order in which the network computes them."""
    uses = variable_uses(imported.module["main"])
    position = {var: index for index, var in enumerate(uses.values)}
    sites = [_site(conv, uses, imported) for conv in fused_convolutions(uses)]
    return sorted(sites, key=lambda site: position[site.conv.output])


def _site(conv: FusedConv, uses: Uses, imported: Imported) -> ConvSite:
    integer = integer_convolution(conv, uses, imported.values)
    if integer is not None:
        return _integer_site(integer, _layer_name(integer.conv, imported), {*imported.names.values()})
    if conv.weight not in imported.names:
        raise UserError(
            f"the weight of a convolution is computed from the images ({conv.workload.key})",
            key="model",
            remedy="layers whose weights are parameters, or depend on parameters alone",
        )
    return ConvSite(
        name=_layer_name(conv, imported),
        conv=conv,
        weight=imported.values[conv.weight].reshape(conv.workload.weight_shape),
        operands=tuple(var for var in (conv.bias, conv.residual) if var is not None),
        arrays={},
    )


def _integer_site(integer: IntegerConv, name: str, taken: Collection[str]) -> ConvSite:
    """The site, with parameters beside its bias that have other names than those which are `taken`."""
    bias = _parameter(f"{name}.bias", integer.bias)
    multiplier = _parameter(_free(f"{name}.multiplier", taken), integer.multiplier)
    arrays = {bias: integer.bias, multiplier: integer.multiplier}
    operands: tuple[relax.Var, ...] = (bias, multiplier)
    if integer.residual_multiplier is not None:
        free = _free(f"{name}.residual_multiplier", taken)
        residual_multiplier = _parameter(free, integer.residual_multiplier)
        arrays[residual_multiplier] = integer.residual_multiplier
        operands = (*operands, integer.conv.residual, residual_multiplier)
    return ConvSite(name, integer.conv, integer.weight, operands, arrays)


def _layer_name(conv: FusedConv, imported: Imported) -> str:
    return imported.names[conv.weight].removesuffix(".weight")


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or one that is longer, where a user's own parameter has it."""
    return _free(f"{name}.int8", taken) if name in taken else name


def _parameter(name: str, array: np.ndarray) -> relax.Var:
    return relax.Var(name, relax.TensorType(array.shape, str(array.dtype)))
