"""The activations that an epilogue can end with, on float32 sums."""

from __future__ import annotations

from typing import Any

from tvm import te

from dlas.interfaces.workload import ConvWorkload

RELU6_LIMIT = 6


def activated(workload: ConvWorkload, total: Any) -> Any:
    """`total` after the workload's activation."""
    if workload.activation == "":
        return total
    positive = te.max(total, te.const(0, "float32"))
    return te.min(positive, te.const(RELU6_LIMIT, "float32")) if workload.activation == "relu6" else positive
