"""The schedule of `gemm` for GPUs: tiles of the product from tiles of both matrices in shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlas.algorithms.shared.gpu.rules import schedule_by_rules
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    import tvm

    from dlas.interfaces.targets.code_target import CodeTarget


def schedule(function: tvm.tirx.PrimFunc, workload: ConvWorkload, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """TVM's rule for matrix products. im2col is gathered on the way into shared memory and stored nowhere."""
    return schedule_by_rules(function, target.arch)
