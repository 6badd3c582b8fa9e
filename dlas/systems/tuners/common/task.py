"""The kernel of a tuning task, from which a search starts."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from dlas.interfaces.algorithm import TEAlgorithm, TensorIRAlgorithm, TunableAlgorithm
from dlas.plugins.registry import ALGORITHMS

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.interfaces.tuning import TuningTask


def computed(task: TuningTask, target: CodeTarget) -> PrimFunc:
    """The function that tells the task's kernel from one that is written anew: its definition or, in
    TensorIR, the kernel with the smallest of its parameters, whatever its cost rule prefers."""
    algorithm = ALGORITHMS.load(task.algorithm)
    if isinstance(algorithm, TEAlgorithm):
        return definition(task)
    if isinstance(algorithm, TunableAlgorithm):
        smallest = min(algorithm.parameters(task.workload, target), key=astuple)
        return algorithm.kernel_with(task.workload, target, smallest)
    assert isinstance(algorithm, TensorIRAlgorithm), task.algorithm
    return algorithm.kernel(task.workload, target)


def definition(task: TuningTask) -> PrimFunc:
    """The task's computation, unscheduled, as `main`; for algorithms written in TE."""
    from tvm import te

    algorithm = ALGORITHMS.load(task.algorithm)
    assert isinstance(algorithm, TEAlgorithm), task.algorithm
    function = te.create_prim_func(algorithm.compute(task.workload))
    return function.with_attrs({"global_symbol": "main", "tirx.noalias": True})
