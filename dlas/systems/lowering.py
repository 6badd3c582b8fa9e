"""From a PyTorch network to the lowered program: batch norm folded, convolutions and epilogues fused."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax, te
from tvm.relax.frontend.torch import from_exported_program

from dlas.errors import UserError
from dlas.systems.epilogues import FusedConv, fused_convolutions, variable_uses
from dlas.systems.importing import CONVERTERS
from dlas.systems.integer_convolutions import IntegerConv, integer_convolution
from dlas.systems.program import ConvLayer, LoweredProgram, Parameter

log = logging.getLogger(__name__)

FALLBACK_ALGORITHM = "dlas.algorithms.direct"
"""Serves every layer."""

OPAQUE = 8
"""TVM's operator pattern for "do not fuse into this": a kernel is scheduled for its own shape."""

WRAPPER = "network."
"""What a network in another data type puts before the names of its layers."""


@dataclass(frozen=True)
class _Site:
    """A convolution of the network: the kernel that takes its place, and the kernel's operands."""

    conv: FusedConv
    layer: ConvLayer
    weight: relax.Var
    """The new parameter that holds the packed weight."""
    operands: tuple[relax.Var, ...]
    """After the weight: variables of the function, or new parameters."""
    arrays: Mapping[relax.Var, np.ndarray]
    """The values of the new parameters; the weight's not packed yet."""


def lower(model: nn.Module, input_shape: Sequence[int], algorithm: str) -> LoweredProgram:
    """Lower a network in eval mode for one input of `input_shape` (NCHW), with `algorithm` for convolutions.

    The network's batch norms should be folded: one that is left is computed after its convolution.

    A layer that `algorithm` (a dotted module name) cannot serve falls back to direct convolution, and its
    `ConvLayer` says so.
    """
    module, names, values = _imported(model, input_shape)
    uses = variable_uses(module["main"])
    position = {var: index for index, var in enumerate(uses.values)}
    sites = []
    for conv in fused_convolutions(uses):
        integer = integer_convolution(conv, uses, values)
        found = _integer_site(integer, names, algorithm) if integer else _site(conv, names, values, algorithm)
        sites.append(found)
    sites.sort(key=lambda site: position[site.conv.output])
    lowered = _with_kernels(module, sites)
    parameters = lowered["main"].params[1:]
    packed_for = {site.weight: site.layer.name for site in sites}
    arrays = values | {var: array for site in sites for var, array in site.arrays.items()}
    named = names | {var: var.name for site in sites for var in site.arrays}
    return LoweredProgram(
        module=_legalized(lowered),
        layers=tuple(site.layer for site in sites),
        parameters=tuple(Parameter(named[var], packed_for.get(var, "")) for var in parameters),
        arrays={named[var]: arrays[var] for var in parameters},
    )


def _imported(
    model: nn.Module, input_shape: Sequence[int]
) -> tuple[tvm.IRModule, dict[relax.Var, str], dict[relax.Var, np.ndarray]]:
    """The network in Relax, and the names and values of its function's parameters after the input."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch about its own code
        exported = torch.export.export(model, (torch.zeros(*input_shape),))
        module = from_exported_program(
            exported,
            keep_params_as_input=True,
            unwrap_unit_return_tuple=True,
            custom_convert_map=CONVERTERS,
        )
    module, detached = relax.frontend.detach_params(module)
    module = relax.transform.CanonicalizeBindings()(module)
    signature = exported.graph_signature
    state = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    parameters = module["main"].params[1:]
    names = {var: state[var.name].removeprefix(WRAPPER) for var in parameters}
    values = {var: value.numpy() for var, value in zip(parameters, detached["main"], strict=True)}
    return module, names, values


def _site(
    conv: FusedConv, names: Mapping[relax.Var, str], values: Mapping[relax.Var, np.ndarray], algorithm: str
) -> _Site:
    if conv.weight not in names:
        raise UserError(
            f"a convolution of the network is quantized only in part ({conv.workload.key})",
            key="compression.int8",
            remedy="leave int8 out for this network",
        )
    layer = _layer(names[conv.weight], conv, algorithm)
    weight = _packed_weight(layer)
    operands = tuple(var for var in (conv.bias, conv.residual) if var is not None)
    return _Site(conv, layer, weight, operands, {weight: values[conv.weight]})


def _integer_site(integer: IntegerConv, names: Mapping[relax.Var, str], algorithm: str) -> _Site:
    layer = _layer(names[integer.conv.weight], integer.conv, algorithm)
    weight = _packed_weight(layer)
    bias = _parameter(f"{layer.name}.bias", integer.bias)
    multiplier = _parameter(f"{layer.name}.multiplier", integer.multiplier)
    arrays = {weight: integer.weight, bias: integer.bias, multiplier: integer.multiplier}
    operands: tuple[relax.Var, ...] = (bias, multiplier)
    if integer.residual_multiplier is not None:
        residual_multiplier = _parameter(f"{layer.name}.residual_multiplier", integer.residual_multiplier)
        arrays[residual_multiplier] = integer.residual_multiplier
        operands = (*operands, integer.conv.residual, residual_multiplier)
    return _Site(integer.conv, layer, weight, operands, arrays)


def _layer(weight_name: str, conv: FusedConv, requested: str) -> ConvLayer:
    reason = importlib.import_module(requested).unsupported(conv.workload)
    return ConvLayer(
        name=weight_name.removesuffix(".weight"),
        workload=conv.workload,
        algorithm=FALLBACK_ALGORITHM if reason else requested,
        requested=requested,
        fallback_reason=reason,
    )


def _packed_weight(layer: ConvLayer) -> relax.Var:
    return relax.Var(f"{layer.name}.weight", relax.TensorType(layer.arguments[1].shape, layer.workload.dtype))


def _parameter(name: str, array: np.ndarray) -> relax.Var:
    return relax.Var(name, relax.TensorType(array.shape, str(array.dtype)))


def _with_kernels(module: tvm.IRModule, sites: Sequence[_Site]) -> tvm.IRModule:
    """The module with each convolution as one call of its kernel, and only the parameters that are read."""
    main = module["main"]
    mutator = _KernelCalls(module, sites)
    body = mutator.visit_expr(main.body)
    new = [var for site in sites for var in site.arrays]
    whole = relax.Function([*main.params, *new], body, main.ret_ty)
    with_kernels = mutator.builder_.get()
    name = with_kernels.get_global_var("main")
    with_kernels.update_func(name, whole.with_attrs({"global_symbol": "main", "num_input": 1}))
    pruned = relax.transform.DeadCodeElimination()(with_kernels)
    read = set(relax.analysis.free_vars(pruned["main"].body))
    data, *parameters = pruned["main"].params
    kept = relax.Function(
        [data, *(var for var in parameters if var in read)], pruned["main"].body, main.ret_ty
    )
    pruned.update_func(
        pruned.get_global_var("main"), kept.with_attrs({"global_symbol": "main", "num_input": 1})
    )
    return pruned


@relax.expr_functor.mutator
class _KernelCalls(relax.PyExprMutator):
    """Puts one kernel call in the place of each convolution."""

    def __init__(self, module: tvm.IRModule, sites: Sequence[_Site]) -> None:
        super().__init__(module)
        self.sites = {site.conv.output: site for site in sites}
        self.absorbed = {var for site in sites for var in site.conv.absorbed}

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        if binding.var in self.sites:
            call = self.kernel_call(self.sites[binding.var])
            self.set_var_remap(binding.var, self.builder_.emit(call))
        elif binding.var not in self.absorbed:
            super().visit_var_binding_(binding)

    def kernel_call(self, site: _Site) -> relax.Call:
        workload = site.layer.workload
        operands = [self.visit_expr(var) for var in (site.conv.data, site.weight, *site.operands)]
        return relax.call_tir(
            self.builder_.add_func(unscheduled_kernel(site.layer), site.layer.kernel),
            operands,
            relax.TensorType(workload.output_shape, workload.output_dtype),
        )


def unscheduled_kernel(layer: ConvLayer) -> tvm.tirx.PrimFunc:
    """The layer's convolution as its algorithm defines it, not scheduled yet."""
    tensors = importlib.import_module(layer.algorithm).compute(layer.workload)
    return te.create_prim_func(tensors).with_attrs({"global_symbol": layer.kernel, "op_pattern": OPAQUE})


def _legalized(module: tvm.IRModule) -> tvm.IRModule:
    """The rest of the network as PrimFuncs too, neighbours fused."""
    return tvm.transform.Sequential(
        [
            relax.transform.FuseTransposeMatmul(),
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
        ]
    )(module)
