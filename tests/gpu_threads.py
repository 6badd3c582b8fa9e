"""A GPU's schedules on the CPU: the loops over blocks and threads run one after the other."""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx


def one_after_another(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """What a schedule computes is told by its loops alone, whatever they are bound to."""

    def plain(loop: tirx.For) -> tirx.For:
        if loop.kind != tirx.ForKind.THREAD_BINDING:
            return loop
        return tirx.For(
            loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body, None, loop.annotations
        )

    return tvm_ffi.structural_map(function, (tirx.For, plain))


def kernels(module: tvm.IRModule) -> dict[str, tirx.PrimFunc]:
    """By name."""
    functions = {var.name_hint: function for var, function in module.functions_items()}
    return {name: function for name, function in functions.items() if isinstance(function, tirx.PrimFunc)}
