"""The untuned schedule of what is not a convolution: pooling, linear layers, element-wise arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir.schedule import SBlockRV

WORTH_A_THREAD = 16384
"""Iterations below which waking the other threads costs more than it saves."""


def schedule_plainly(function: tvm.tirx.PrimFunc) -> tvm.tirx.PrimFunc:
    """Each block's outer loops in parallel where there is enough to do; loops over reductions stay inside."""
    import tvm

    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        _parallelize(sch, block)
    return sch.mod["main"]


def _parallelize(sch: tvm.s_tir.Schedule, block: SBlockRV) -> None:
    from tvm.tirx import IterVar

    loops = sch.get_loops(block)
    kinds = [var.iter_type for var in sch.get(block).iter_vars]
    if len(loops) != len(kinds):
        return
    spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == IterVar.DataPar]
    reduced = [loop for loop, kind in zip(loops, kinds, strict=True) if kind != IterVar.DataPar]
    iterations = 1
    for loop in loops:
        iterations *= int(sch.get(loop).extent)
    if not spatial or iterations < WORTH_A_THREAD:
        return
    sch.reorder(*spatial, *reduced)
    sch.parallel(sch.fuse(*spatial[:-1]) if len(spatial) > 1 else spatial[0])
