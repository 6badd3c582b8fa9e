"""Put kernels in the place of a network's convolutions, with activations in the layouts that they work in.

Between two kernels in NCHWc an activation stays so, through pooling, concatenation and element-wise
arithmetic. A layout change is inserted where a reader needs another layout than the one at hand, once per
activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tvm
from tvm import relax, te

from dlas.algorithms.layout import element, logical_index, physical_shape
from dlas.interfaces.program import ConvLayer
from dlas.systems.graph.layout_rules import (
    POOLS,
    activations,
    constant_in_blocks,
    is_over_planes,
    is_reshaped_pixel,
    keeps_blocks,
    operator_name,
    shape_of,
)
from dlas.systems.graph.sites import ConvSite
from dlas.systems.program import kernels


@dataclass(frozen=True)
class KernelCall:
    """A convolution and the kernel that computes it."""

    site: ConvSite
    layer: ConvLayer
    weights: tuple[relax.Var, ...]
    """New parameters that hold the packed weight."""

    @property
    def parameters(self) -> list[relax.Var]:
        """Parameters of the call that are new to the function."""
        return [*self.weights, *self.site.arrays]


def with_kernels(module: tvm.IRModule, calls: list[KernelCall]) -> tvm.IRModule:
    """The module with each convolution as one call of its kernel, and only the parameters that are read."""
    main = module["main"]
    rewriter = _Rewriter(module, calls)
    body = rewriter.visit_expr(main.body)
    whole = relax.Function(
        [*main.params, *(var for call in calls for var in call.parameters)], body, main.ret_ty
    )
    rewritten = rewriter.builder_.get()
    _update_main(rewritten, whole)
    pruned = relax.transform.DeadCodeElimination()(rewritten)
    read = set(relax.analysis.free_vars(pruned["main"].body))
    data, *parameters = pruned["main"].params
    kept = [data, *(var for var in parameters if var in read)]
    _update_main(pruned, relax.Function(kept, pruned["main"].body, main.ret_ty))
    return pruned


def layout_change(
    shape: tuple[int, int, int, int], source: int, destination: int
) -> Callable[..., te.Tensor]:
    """The TE of an activation of NCHW `shape` going from blocks of `source` channels to `destination`."""

    def change(activation: te.Tensor) -> te.Tensor:
        return te.compute(
            physical_shape(shape, destination),
            lambda *index: element(activation, source, *logical_index(destination, *index)),
            name="layout",
        )

    return change


def _update_main(module: tvm.IRModule, function: relax.Function) -> None:
    named = function.with_attrs({"global_symbol": "main", "num_input": 1})
    module.update_func(module.get_global_var("main"), named)


@relax.expr_functor.mutator
class _Rewriter(relax.PyExprMutator):
    """Rewrites bindings in order, keeping for every activation the layouts that it is at hand in."""

    def __init__(self, module: tvm.IRModule, calls: list[KernelCall]) -> None:
        super().__init__(module)
        self.calls = {call.site.conv.output: call for call in calls}
        self.absorbed = {var for call in calls for var in call.site.conv.absorbed}
        self.blocks: dict[relax.Var, int] = {}
        """Channels in a block of each activation as it was computed; one that is not here is in NCHW."""
        self.at_hand: dict[tuple[relax.Var, int], relax.Var] = {}
        """Variable that holds an activation in blocks of so many channels."""

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        var, value = binding.var, binding.value
        if var in self.calls:
            call = self.calls[var]
            self.record(var, self.kernel_call(call), call.layer.workload.output_block)
        elif var not in self.absorbed:
            block = max((self.blocks.get(read, 1) for read in activations(value)), default=1)
            in_blocks = self.in_blocks(value, block) if block > 1 else None
            if in_blocks is not None:
                self.record(var, in_blocks, block if keeps_blocks(value) else 1)
            else:
                for read in activations(value):
                    self.in_layout(read, 1)
                super().visit_var_binding_(binding)

    def record(self, var: relax.Var, value: relax.Expr, block: int) -> None:
        """Bind `value`, which is `var` in blocks of `block` channels."""
        if block == 1 and not isinstance(var, relax.DataflowVar):
            self.set_var_remap(var, self.builder_.emit_output(value))
            return
        new = self.builder_.emit(value)
        self.blocks[var] = block
        self.at_hand[var, block] = new
        if block == 1:
            self.set_var_remap(var, new)
        elif not isinstance(var, relax.DataflowVar):
            self.set_var_remap(var, self.builder_.emit_output(self.changed(new, var, block, 1)))

    def in_layout(self, var: relax.Var, block: int) -> relax.Var:
        """The new variable that holds `var` in blocks of `block` channels, computed if it is not at hand."""
        own = self.blocks.get(var, 1)
        if (var, block) not in self.at_hand:
            source = self.at_hand[var, own] if own > 1 else self.visit_expr(var)
            if own == block:
                return source
            self.at_hand[var, block] = self.builder_.emit(self.changed(source, var, own, block))
            if block == 1:
                self.set_var_remap(var, self.at_hand[var, 1])
        return self.at_hand[var, block]

    def changed(self, source: relax.Var, var: relax.Var, own: int, block: int) -> relax.Expr:
        """A layout change of `source`, which is `var` in blocks of `own` channels, to blocks of `block`."""
        shape = shape_of(var)
        assert shape is not None
        if shape[2:] == (1, 1):
            return relax.op.reshape(source, physical_shape(shape, block))
        change = layout_change(shape, own, block)
        return self.builder_.call_te(change, source, primfunc_name_hint=f"layout_{own}_to_{block}")

    def kernel_call(self, call: KernelCall) -> relax.Call:
        workload, conv = call.layer.workload, call.site.conv
        layouts = {conv.data: workload.input_block, conv.residual: workload.output_block}
        operands = [self.in_layout(conv.data, workload.input_block), *call.weights]
        operands += [
            self.in_layout(var, layouts[var]) if var in layouts else self.visit_expr(var)
            for var in call.site.operands
        ]
        return relax.call_tir(
            self.builder_.add_func(kernels.definition(call.layer), call.layer.kernel),
            operands,
            relax.TensorType(
                physical_shape(workload.output_shape, workload.output_block), workload.output_dtype
            ),
        )

    def in_blocks(self, value: relax.Expr, block: int) -> relax.Expr | None:
        """`value` computed from operands in blocks of `block` channels; None where it needs NCHW."""
        if is_reshaped_pixel(value):
            source = value.args[0]
            return relax.op.reshape(self.at_hand[source, self.blocks[source]], value.ty.shape)
        name = operator_name(value)
        if name == "relax.mean" and is_over_planes(value):
            mean = relax.op.mean(self.in_layout(value.args[0], block), [2, 3], keepdims=True)
            return (
                mean if value.attrs.keepdims else relax.op.reshape(self.builder_.emit(mean), value.ty.shape)
            )
        if not keeps_blocks(value):
            return None
        if name == "relax.concat":
            return relax.op.concat([self.in_layout(part, block) for part in value.args[0].fields], axis=1)
        if name in POOLS:
            return POOLS[name](self.in_layout(value.args[0], block), value.attrs, f"NCHW{block}c")
        operands = [self.operand_in_blocks(operand, block) for operand in value.args]
        return relax.Call(value.op, operands, value.attrs)

    def operand_in_blocks(self, operand: relax.Expr, block: int) -> relax.Expr:
        if shape_of(operand) is None:
            return self.visit_expr(operand)
        if isinstance(operand, relax.Var):
            return self.in_layout(operand, block)
        return constant_in_blocks(operand, block)
