"""Which schedule each kernel gets: the tuned one where it is right and faster, else the untuned one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tvm

from dlas.hardware.kernels import Comparison, KernelPair, compare_kernels
from dlas.hardware.target import Target, tvm_target
from dlas.systems.building import untuned_kernel
from dlas.systems.program import LoweredProgram
from dlas.systems.tuners.task import Schedules, TuningTask

LARGEST_ERROR = 1e-3
"""Of a tuned kernel, relative to its largest output: sums in another order differ by about 1e-6."""


@dataclass(frozen=True)
class KernelChoice:
    """What was chosen for one kernel, and why."""

    kernel: str
    tuned: bool
    reason: str
    untuned_ms: float | None = None
    tuned_ms: float | None = None


def kernel_tasks(program: LoweredProgram) -> dict[str, TuningTask]:
    """One task per kernel, in the order of the network, with the number of layers that share it."""
    kernels = [layer.kernel for layer in program.layers]
    return {
        layer.kernel: TuningTask(layer.workload, layer.algorithm, kernels.count(layer.kernel))
        for layer in program.layers
    }


def choose(
    program: LoweredProgram, schedules: Schedules, target: Target, scratch: Path
) -> tuple[list[KernelChoice], dict[str, tvm.tirx.PrimFunc]]:
    """The choice for every kernel, and the tuned PrimFuncs that were chosen, by kernel name.

    Both schedules of a kernel are run on one random input and timed in turn, in a fresh process that holds
    the board alone. Their library is left in `scratch`.
    """
    keys = {name: task.key for name, task in kernel_tasks(program).items()}
    tuned = {name: schedules.found[key] for name, key in keys.items() if key in schedules.found}
    missing = [
        KernelChoice(name, tuned=False, reason=schedules.missing[key])
        for name, key in keys.items()
        if name not in tuned
    ]
    if not tuned:
        return missing, {}
    layers = {layer.kernel: layer for layer in program.layers}
    untuned = {name: untuned_kernel(program, layers[name], target) for name in tuned}
    pairs = [KernelPair(f"{name}_untuned", f"{name}_tuned", layers[name].arguments) for name in tuned]
    functions = {pair.first: untuned[name] for pair, name in zip(pairs, tuned, strict=True)}
    functions |= {pair.second: tuned[name] for pair, name in zip(pairs, tuned, strict=True)}
    library = scratch / "kernels.so"
    _build(functions, target, library)
    compared = compare_kernels(library, pairs, target)
    choices = [_choice(name, comparison) for name, comparison in zip(tuned, compared, strict=True)]
    return [*choices, *missing], {choice.kernel: tuned[choice.kernel] for choice in choices if choice.tuned}


def _choice(kernel: str, comparison: Comparison) -> KernelChoice:
    times = (comparison.first_ms, comparison.second_ms)
    if not comparison.relative_error <= LARGEST_ERROR:
        reason = f"the tuned kernel is wrong by {comparison.relative_error:.1g} of its largest output"
        return KernelChoice(kernel, False, reason, *times)
    if comparison.second_ms >= comparison.first_ms:
        return KernelChoice(kernel, False, "the tuned kernel is no faster", *times)
    return KernelChoice(kernel, True, "the tuned kernel is faster", *times)


def _build(functions: dict[str, tvm.tirx.PrimFunc], target: Target, library: Path) -> None:
    named = {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    tvm.compile(tvm.IRModule(named), tvm_target(target)).export_library(str(library))
