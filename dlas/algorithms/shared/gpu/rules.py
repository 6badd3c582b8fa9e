"""TVM's own schedules for GPUs, dlight: the first of its rules that fits what a function computes."""

from __future__ import annotations

import tvm
from tvm.s_tir.dlight import gpu

RULES = (gpu.Matmul(), gpu.GEMV(), gpu.Reduction(), gpu.GeneralReduction(), gpu.Fallback())
"""Rules in the order of TVM's own pipeline for CUDA; the last one fits everything."""


def schedule_by_rules(function: tvm.tirx.PrimFunc, arch: str) -> tvm.tirx.PrimFunc:
    """The function with its loops bound to a GPU's blocks and threads; `arch` is such as sm_87."""
    target = tvm.target.Target({"kind": "cuda", "arch": arch})
    for rule in RULES:
        found = rule.apply(function, target, False)
        if found is not None:
            sch = found[0] if isinstance(found, list) else found
            return sch.mod["main"]
    raise AssertionError("the last rule fits every function")
