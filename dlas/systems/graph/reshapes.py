"""Reshapes moved out of the way between convolutions and what belongs to them.

A linear layer is a convolution over planes of one pixel, with a reshape before and after it. What follows the
layer, an activation or its quantization, does not care about shapes: the reshape can come after it, and the
convolution and its epilogue are next to each other. In the same way quantized values are reshaped before they
are dequantized. From one linear layer to the next two reshapes then meet, and cancel out.
"""

from __future__ import annotations

import tvm
from tvm import relax

from dlas.systems.graph.epilogues import is_op

BEFORE_RESHAPES = ("relax.nn.relu", "relax.clip")
"""Operators of one operand that may end an epilogue, besides the quantization of a whole tensor."""


def moved(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the reshapes of `main` between what is quantized and dequantized, where that can be."""
    mover = _Mover(module)
    mover.builder_.update_func(module.get_global_var("main"), mover.visit_expr(module["main"]))
    simplified = relax.transform.CanonicalizeBindings()(mover.builder_.get())
    return relax.transform.DeadCodeElimination()(simplified)


@relax.expr_functor.mutator
class _Mover(relax.PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if is_op(call, "relax.reshape"):
            return self.reshaped(call.args[0], call)
        if _ends_epilogue(call) and (reshape := self.source(call.args[0], "relax.reshape")) is not None:
            first = self.builder_.emit(relax.Call(call.op, [reshape.args[0], *call.args[1:]], call.attrs))
            return relax.op.reshape(first, call.ty.shape)
        return call

    def reshaped(self, source: relax.Expr, call: relax.Call) -> relax.Expr:
        """`source` in the shape of `call`."""
        shape = call.ty.shape
        if (reshape := self.source(source, "relax.reshape")) is not None:
            return self.reshaped(reshape.args[0], call)
        if list(source.ty.shape) == list(shape):
            return source
        dequantize = self.source(source, "relax.dequantize")
        if dequantize is None or not _is_per_tensor(dequantize):
            return relax.op.reshape(source, shape)
        quantized, *scaling = dequantize.args
        first = self.builder_.emit(self.reshaped(quantized, call))
        return relax.Call(dequantize.op, [first, *scaling], dequantize.attrs)

    def source(self, value: relax.Expr, operator: str) -> relax.Call | None:
        """The call that `value` is bound to, where it is one of `operator`."""
        found = self.lookup_binding(value) if isinstance(value, relax.Var) else None
        return found if found is not None and is_op(found, operator) else None


def _ends_epilogue(call: relax.Call) -> bool:
    if is_op(call, "relax.quantize"):
        return _is_per_tensor(call)
    return any(is_op(call, name) for name in BEFORE_RESHAPES)


def _is_per_tensor(call: relax.Call) -> bool:
    """Whether one scale serves the whole tensor."""
    return len(call.args[1].ty.shape) == 0
