"""Random Ansor schedules as TVM 0.19 lowers them, and what PyTorch computes for their workloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import tvm
from tvm.tirx import PrimFunc

from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.tuners.ansor.tuner import target_text
from dlas.systems.tuners.ansor.worker import answers
from dlas.testing.algorithm import LLVM_LEVEL, built


@dataclass(frozen=True)
class Sample:
    workload: ConvWorkload
    algorithm: str
    script: str


def sampled(cases: Sequence[tuple[ConvWorkload, str]], samples: int, target: CodeTarget) -> list[Sample]:
    """`samples` schedules of each (workload, algorithm's dotted module), none of them measured."""
    request = {
        "command": "sample",
        "tasks": [{"workload": workload.key, "algorithm": algorithm} for workload, algorithm in cases],
        "target": target_text(target),
        "cores": target.cores,
        "samples": samples,
        "seed": 1,
    }
    return [Sample(*cases[answer["task"]], answer["script"]) for answer in answers(request)]


def largest_error(
    function: PrimFunc | tvm.runtime.Module, workload: ConvWorkload, algorithm: str, seed: int = 0
) -> float:
    """The greatest difference to PyTorch's float64 convolution, relative to its greatest output.

    `function` is anything that may be called with the arguments of the algorithm's `compute`; the output
    starts as NaN, so that an element left out counts.
    """
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, np.float32)

    data, weight = draw(*workload.input_shape), draw(*workload.weight_shape)
    bias = [draw(workload.out_channels)] * workload.bias
    residual = [draw(*workload.output_shape)] * workload.residual
    packed = ALGORITHMS.load(algorithm).pack_weight(workload, weight)
    output = tvm.runtime.tensor(np.full(workload.output_shape, np.nan, np.float32))
    function(*(tvm.runtime.tensor(array) for array in (data, *packed, *bias, *residual)), output)

    top, left, bottom, right = workload.padding
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(torch.from_numpy(data).double(), (left, right, top, bottom)),
        torch.from_numpy(weight).double(),
        *(torch.from_numpy(array).double() for array in bias),
        stride=workload.stride,
        dilation=workload.dilation,
        groups=workload.groups,
    )
    for array in residual:
        expected = expected + torch.from_numpy(array)
    if workload.activation:
        expected = expected.relu()
    return float(np.max(np.abs(output.numpy() - expected.numpy())) / max(1.0, expected.abs().max().item()))


def compiled(
    functions: Sequence[PrimFunc], target: CodeTarget, level: int = LLVM_LEVEL
) -> list[tvm.runtime.Module]:
    """The functions, built as one module: a build each would take most of the time."""
    named = {f"schedule_{index}": function for index, function in enumerate(functions)}
    executable = built(named, target, level)
    return [executable[name] for name in named]
