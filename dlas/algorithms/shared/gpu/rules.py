"""TVM's own schedules for GPUs, dlight: the first of its rules that fits what a function computes."""

from __future__ import annotations

import tvm
from tvm.s_tir.dlight import gpu
from tvm.tirx import IterVar

RULES = (gpu.Matmul(), gpu.GEMV(), gpu.Reduction(), gpu.GeneralReduction(), gpu.Fallback())
"""Rules in the order of TVM's own pipeline for CUDA."""

THREADS = 256
"""Threads of a block where no rule fits."""


def schedule_by_rules(function: tvm.tirx.PrimFunc, arch: str) -> tvm.tirx.PrimFunc:
    """The function with its loops bound to a GPU's blocks and threads; `arch` is such as sm_87.

    What no rule fits, such as pooling by windows of several sizes, gets a thread for each value.
    """
    target = tvm.target.Target({"kind": "cuda", "arch": arch})
    for rule in RULES:
        found = rule.apply(function, target, False)
        if found is not None:
            sch = found[0] if isinstance(found, list) else found
            return sch.mod["main"]
    return _thread_for_each_value(function)


def _thread_for_each_value(function: tvm.tirx.PrimFunc) -> tvm.tirx.PrimFunc:
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        kinds = [axis.iter_type for axis in sch.get(block).iter_vars]
        values = [
            loop for loop, kind in zip(sch.get_loops(block), kinds, strict=True) if kind == IterVar.DataPar
        ]
        blocks, threads = sch.split(sch.fuse(*values), [None, THREADS])
        sch.bind(blocks, "blockIdx.x")
        sch.bind(threads, "threadIdx.x")
    return sch.mod["main"]
