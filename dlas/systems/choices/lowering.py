"""The lowered program of an imported network: kernels for its convolutions, PrimFuncs for the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import tvm
from torch import nn
from tvm import relax

from dlas.errors import UserError
from dlas.interfaces.program import ConvLayer, LoweredProgram, Parameter
from dlas.systems.choices.declared_algorithm import assigned
from dlas.systems.graph.importing import Imported, import_network
from dlas.systems.graph.layouts import KernelCall, with_kernels
from dlas.systems.graph.sites import ConvSite, conv_sites
from dlas.systems.program.packing import packed


def lower(
    model: nn.Module, input_shape: Sequence[int], algorithm: str, weight_format: str = "dense"
) -> LoweredProgram:
    """Lower a network in eval mode for one input of `input_shape` (NCHW), every convolution by `algorithm` (a
    dotted module name) with its weights in `weight_format`.

    A layer that cannot be served so falls back to another algorithm, and its `ConvLayer` says so.
    """
    imported = import_network(model, input_shape)
    sites = conv_sites(imported)
    return lowered(imported, sites, [assigned(site, algorithm, weight_format) for site in sites])


def lowered(imported: Imported, sites: Sequence[ConvSite], layers: Sequence[ConvLayer]) -> LoweredProgram:
    """The network with `layers[i]` in the place of `sites[i]`."""
    calls = [_call(site, layer) for site, layer in zip(sites, layers, strict=True)]
    module = with_kernels(imported.module, calls)
    described = {var: Parameter(name) for var, name in imported.names.items()}
    arrays = {imported.names[var]: array for var, array in imported.values.items()}
    for call in calls:
        weight = f"{call.layer.name}.weight"
        arrays[weight] = call.site.weight
        described |= {var: Parameter(weight, call.layer.name, part) for part, var in enumerate(call.weights)}
        described |= {var: Parameter(var.name) for var in call.site.arrays}
        arrays |= {var.name: array for var, array in call.site.arrays.items()}
    parameters = tuple(described[var] for var in module["main"].params[1:])
    return LoweredProgram(
        module=_legalized(module),
        layers=tuple(layers),
        parameters=parameters,
        arrays={parameter.array: arrays[parameter.array] for parameter in parameters},
    )


def enlarged(program: LoweredProgram, model: nn.Module, input_shape: Sequence[int]) -> LoweredProgram:
    """The network that `program` was lowered from for one image, for a larger batch: `input_shape` is
    (N, C, H, W). Each layer keeps its algorithm, its format and its layouts.

    UserError where the network has other layers then.
    """
    imported = import_network(model, input_shape)
    sites, known = conv_sites(imported), {layer.name: layer for layer in program.layers}
    require_same_layers(known.keys(), sites, input_shape[0])
    return lowered(imported, sites, [_for_batch(known[site.name], site) for site in sites])


def require_same_layers(single: Collection[str], sites: Sequence[ConvSite], batch: int) -> None:
    """UserError unless the sites of the network for a batch are those of these layers, which it has for a
    single image."""
    if {site.name for site in sites} != set(single):
        raise UserError(
            f"the network has other layers for {batch} images at once than for one",
            key="timing.batch_sizes",
            remedy="timing.batch_sizes=[1], or a forward that treats all images alike",
        )


def _for_batch(layer: ConvLayer, site: ConvSite) -> ConvLayer:
    return replace(layer, workload=replace(layer.workload, batch=site.conv.workload.batch))


def _call(site: ConvSite, layer: ConvLayer) -> KernelCall:
    arrays = packed(layer, site.weight)
    weights = tuple(
        relax.Var(f"{layer.name}.weight{part}", relax.TensorType(array.shape, str(array.dtype)))
        for part, array in enumerate(arrays)
    )
    return KernelCall(site, layer, weights)


def _legalized(module: tvm.IRModule) -> tvm.IRModule:
    """The network's other operators as PrimFuncs too, with neighbours fused."""
    return tvm.transform.Sequential(
        [
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
        ]
    )(module)
