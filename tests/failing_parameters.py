"""An algorithm in TensorIR, output = 2 * input, some of whose parameters make kernels that fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import te, tirx

from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload


@dataclass(frozen=True)
class Way:
    name: str


WAYS: dict[str, Callable[[Any], Any]] = {
    "twice": lambda value: value * 2,
    "crash": lambda value: value * 2 + tirx.call_extern("float32", "abort"),
    "hang": lambda value: value * 2 + tirx.call_extern("int32", "pause").astype("float32"),
    "wrong": lambda value: value * 3,
    "unlinked": lambda value: value * 2 + tirx.call_extern("float32", "dlas_no_such_function"),
    "added": lambda value: value + value,
}


def parameters(workload: ConvWorkload, target: CodeTarget) -> tuple[Way, ...]:
    return tuple(Way(name) for name in WAYS)


def kernel_with(workload: ConvWorkload, target: CodeTarget, chosen: Way) -> tvm.tirx.PrimFunc:
    data = te.placeholder(workload.input_shape, workload.dtype, name="data")
    weight = te.placeholder(workload.weight_shape, workload.dtype, name="weight")
    output = te.compute(workload.input_shape, lambda *i: WAYS[chosen.name](data[i]), name="output")
    return te.create_prim_func([data, weight, output])


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    return (weight,)


def unsupported(workload: ConvWorkload) -> str:
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    return 1, 1


def kernel(workload: ConvWorkload, target: CodeTarget) -> tvm.tirx.PrimFunc:
    return kernel_with(workload, target, Way("twice"))
