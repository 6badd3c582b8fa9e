"""From a PyTorch network to the lowered program: batch norm folded, convolutions and epilogues fused."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence

import torch
import tvm
from torch import nn
from torch.fx.experimental.optimization import fuse as fold_batch_norm
from tvm import relax, te
from tvm.relax.frontend.torch import from_exported_program

from dlas.systems.epilogues import FusedConv, fused_convolutions
from dlas.systems.program import ConvLayer, LoweredProgram, Parameter

FALLBACK_ALGORITHM = "dlas.algorithms.direct"
"""Serves every layer."""

OPAQUE = 8
"""TVM's operator pattern for "do not fuse into this": a kernel is scheduled for its own shape."""


def lower(model: nn.Module, input_shape: Sequence[int], algorithm: str) -> LoweredProgram:
    """Lower a trained network for one input of `input_shape` (NCHW), its convolutions served by `algorithm`.

    A layer that `algorithm` (a dotted module name) cannot serve falls back to direct convolution, and its
    `ConvLayer` says so.
    """
    example = torch.zeros(*input_shape)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch about its own code
        exported = torch.export.export(fold_batch_norm(model.eval()), (example,))
    module = from_exported_program(exported, keep_params_as_input=True, unwrap_unit_return_tuple=True)
    module, values = relax.frontend.detach_params(module)
    module = relax.transform.CanonicalizeBindings()(module)
    main = module["main"]
    state_names = _state_names(exported)
    arrays = {
        state_names[var.name]: value.numpy()
        for var, value in zip(main.params[1:], values["main"], strict=True)
    }
    fused = fused_convolutions(main)
    layers = {conv.output: _layer(conv, state_names, algorithm) for conv in fused}
    module, parameters = _with_kernels(module, fused, layers, state_names)
    return LoweredProgram(
        module=_legalized(module),
        layers=tuple(layers[conv.output] for conv in fused),
        parameters=parameters,
        arrays={parameter.array: arrays[parameter.array] for parameter in parameters},
    )


def _state_names(exported: torch.export.ExportedProgram) -> dict[str, str]:
    signature = exported.graph_signature
    return {**signature.inputs_to_parameters, **signature.inputs_to_buffers}


def _layer(conv: FusedConv, state_names: dict[str, str], requested: str) -> ConvLayer:
    reason = importlib.import_module(requested).unsupported(conv.workload)
    return ConvLayer(
        name=state_names[conv.weight.name].removesuffix(".weight"),
        workload=conv.workload,
        algorithm=FALLBACK_ALGORITHM if reason else requested,
        requested=requested,
        fallback_reason=reason,
    )


def _with_kernels(
    module: tvm.IRModule,
    fused: list[FusedConv],
    layers: dict[relax.Var, ConvLayer],
    state_names: dict[str, str],
) -> tuple[tvm.IRModule, tuple[Parameter, ...]]:
    """The module with each fused convolution as one call of its kernel, and what its parameters are now."""
    packed = {conv.output: _packed_weight(conv, layers[conv.output]) for conv in fused}
    main = module["main"]
    mutator = _KernelCalls(module, fused, layers, packed)
    body = mutator.visit_expr(main.body)
    read = relax.analysis.free_vars(body)
    plain = [var for var in main.params[1:] if var in read]
    lowered = relax.Function([main.params[0], *packed.values(), *plain], body, main.ret_ty)
    with_kernels = mutator.builder_.get()
    with_kernels.update_func(
        with_kernels.get_global_var("main"), lowered.with_attrs({"global_symbol": "main", "num_input": 1})
    )
    parameters = (
        *(Parameter(state_names[conv.weight.name], packed_for=layers[conv.output].name) for conv in fused),
        *(Parameter(state_names[var.name]) for var in plain),
    )
    return with_kernels, parameters


def _packed_weight(conv: FusedConv, layer: ConvLayer) -> relax.Var:
    packed = relax.TensorType(layer.argument_shapes[1], layer.workload.dtype)
    return relax.Var(f"{conv.weight.name}_packed", packed)


@relax.expr_functor.mutator
class _KernelCalls(relax.PyExprMutator):
    """Puts one kernel call in the place of each fused convolution."""

    def __init__(
        self,
        module: tvm.IRModule,
        fused: list[FusedConv],
        layers: dict[relax.Var, ConvLayer],
        packed: dict[relax.Var, relax.Var],
    ) -> None:
        super().__init__(module)
        self.fused = {conv.output: conv for conv in fused}
        self.absorbed = {var for conv in fused for var in conv.absorbed}
        self.layers = layers
        self.packed = packed

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        if binding.var in self.fused:
            call = self.kernel_call(self.fused[binding.var])
            self.set_var_remap(binding.var, self.builder_.emit(call))
        elif binding.var not in self.absorbed:
            super().visit_var_binding_(binding)

    def kernel_call(self, conv: FusedConv) -> relax.Call:
        layer = self.layers[conv.output]
        epilogue = [self.visit_expr(var) for var in (conv.bias, conv.residual) if var is not None]
        return relax.call_tir(
            self.builder_.add_func(unscheduled_kernel(layer), layer.kernel),
            [self.visit_expr(conv.data), self.packed[conv.output], *epilogue],
            relax.TensorType(layer.workload.output_shape, layer.workload.dtype),
        )


def unscheduled_kernel(layer: ConvLayer) -> tvm.tirx.PrimFunc:
    """The layer's convolution as its algorithm defines it, not scheduled yet."""
    tensors = importlib.import_module(layer.algorithm).compute(layer.workload)
    return te.create_prim_func(tensors).with_attrs({"global_symbol": layer.kernel, "op_pattern": OPAQUE})


def _legalized(module: tvm.IRModule) -> tvm.IRModule:
    """The rest of the network as PrimFuncs too, neighbours fused."""
    return tvm.transform.Sequential(
        [
            relax.transform.DeadCodeElimination(),
            relax.transform.FuseTransposeMatmul(),
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
        ]
    )(module)
