"""The algorithm `direct` with no schedule at all: whatever a tuner finds is many times faster."""

from __future__ import annotations

import tvm

from dlas.algorithms.direct import dense as direct
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload

unsupported, layouts, pack_weight, compute = (
    direct.unsupported,
    direct.layouts,
    direct.pack_weight,
    direct.compute,
)


def schedule(sch: tvm.s_tir.Schedule, workload: ConvWorkload, target: CodeTarget) -> None:
    pass
