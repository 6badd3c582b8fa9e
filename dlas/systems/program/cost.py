"""The multiply-accumulates (MACs) that a program's kernels spend, beside those of dense float32 kernels."""

from __future__ import annotations

import numpy as np

from dlas.algorithms.shared.sparse.formats import stored_fraction
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.program.program import LoweredProgram

BITS = {"float32": 32, "float16": 16, "int8": 8}
"""Bits of a kernel's operands by the data type of its workload."""


def saving(program: LoweredProgram) -> float:
    """MACs of dense float32 kernels for the program's layers over those that its kernels spend.

    A kernel spends MACs on the weights that its format stores: on zeros as well where it is dense. A MAC of
    narrower operands counts by its bits: of int8, a quarter of one in float32. It is the convolution that
    counts, not how an algorithm computes it. 1 for a program without layers.
    """
    dense = sum(layer.workload.macs for layer in program.layers) * BITS["float32"]
    spent = sum(
        spent_macs(layer.workload, program.weight(layer)) * BITS[layer.workload.dtype]
        for layer in program.layers
    )
    return dense / spent if spent else 1.0


def spent_macs(workload: ConvWorkload, weight: np.ndarray) -> int:
    """MACs that a kernel of the workload spends on an OIHW weight, whichever algorithm it has."""
    if workload.format == "dense":
        return workload.macs
    return workload.macs // weight.size * round(stored_fraction(workload, weight) * weight.size)
