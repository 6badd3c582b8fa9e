"""An algorithm whose candidates build, and end the process that runs them."""

from __future__ import annotations

import numpy as np
from tvm import te

from dlas.interfaces.workload import ConvWorkload

try:
    from tvm import tirx
except ImportError:  # TVM 0.19
    from tvm import tir as tirx


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    data = te.placeholder(workload.input_shape, workload.dtype, name="data")
    shape = workload.input_shape
    output = te.compute(shape, lambda *i: data[i] + tirx.call_extern("float32", "abort"), name="output")
    return [data, output]


def unsupported(workload: ConvWorkload) -> str:
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    return (weight,)


def schedule(sch: object, workload: ConvWorkload, target: object) -> None:
    pass
