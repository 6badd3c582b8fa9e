"""The arrays that kernels read, made from a program's weights."""

from __future__ import annotations

import numpy as np

from dlas.interfaces.program import ConvLayer, LoweredProgram
from dlas.plugins.registry import ALGORITHMS


def packed(layer: ConvLayer, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays that the layer's kernel reads, made from OIHW weights."""
    arrays: tuple[np.ndarray, ...] = ALGORITHMS.load(layer.algorithm).pack_weight(layer.workload, weight)
    return arrays


def packed_arrays(program: LoweredProgram) -> list[np.ndarray]:
    """The values of the program's parameters, in order, each as its kernel reads it."""
    arrays = {
        layer.name: packed(layer, program.arrays[parameter.array])
        for parameter in program.parameters
        for layer in program.layers
        if parameter.packed_for == layer.name and parameter.part == 0
    }
    return [
        arrays[parameter.packed_for][parameter.part]
        if parameter.packed_for
        else program.arrays[parameter.array]
        for parameter in program.parameters
    ]
