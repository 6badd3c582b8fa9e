"""The text of the plain loops that a schedule lowers to."""

from __future__ import annotations

from typing import Any

import tvm
from tvm.auto_scheduler import SearchTask

KEEP_LOOPS = ["tir.VectorizeLoop", "tir.UnrollLoop", "tir.StorageRewrite", "tir.CommonSubexprElimTIR"]
"""Passes that are left to another TVM; without them the loops keep their kinds."""


def lowered(task: SearchTask, state: Any) -> str:
    """The text of the TensorIR that a schedule lowers to."""
    schedule, arguments = task.compute_dag.apply_steps_from_state(state)
    with tvm.transform.PassContext(disabled_pass=KEEP_LOOPS):
        return str(tvm.lower(schedule, arguments).script())
