"""An algorithm whose candidates build, and read memory that is not theirs."""

from __future__ import annotations

import numpy as np
from tvm import te

from dlas.interfaces.workload import ConvWorkload

FAR = 500_000_000
"""Elements behind the array's end."""


def compute(workload: ConvWorkload) -> list[te.Tensor]:
    data = te.placeholder(workload.input_shape, workload.dtype, name="data")
    output = te.compute(
        workload.input_shape, lambda n, c, y, x: data[n, c, y, x + FAR] + data[n, c, y, x], name="output"
    )
    return [data, output]


def unsupported(workload: ConvWorkload) -> str:
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    return (weight,)


def schedule(sch: object, workload: ConvWorkload, target: object) -> None:
    pass
