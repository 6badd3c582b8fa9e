"""Choice of each kernel's schedule: the tuned one where it is right and faster in the network.

A kernel alone, its caches warm, is not the kernel that a network calls. So the network is built without and
with its tuned kernels, both run in turn in one process, and every kernel's time is taken where the network
calls it. The network of the faster ones is then raced against the untuned network, and where it does not gain
more than identical networks differ by, no kernel is tuned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm

from dlas.algorithms.shared.sparse.formats import stored_fraction
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.timing.race import race
from dlas.hardware.timing.single_kernels import KernelPair, KernelTime, compare_kernels
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import DENSE, Schedules, TuningTask, rounded_density
from dlas.systems.compilers.tvm import linking
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.program import kernels
from dlas.systems.program.kernel_choice import KernelChoice
from dlas.systems.program.operands import arguments, tolerance
from dlas.systems.program.program import ConvLayer, LoweredProgram

WORTH_TUNING = 0.97
"""Share of the untuned network's time that the tuned one may take: identical libraries have been seen to
differ by 1 to 7 % in a race on a shared machine, mostly by less than 3."""


def kernel_tasks(program: LoweredProgram) -> dict[str, TuningTask]:
    """One task per kernel, in the order of the network, with the number of layers that share it."""
    sharing: dict[str, list[ConvLayer]] = defaultdict(list)
    for layer in program.layers:
        sharing[layer.kernel].append(layer)
    return {
        kernel: TuningTask(layers[0].workload, layers[0].algorithm, len(layers), _density(program, layers))
        for kernel, layers in sharing.items()
    }


def without_schedule(program: LoweredProgram, schedules: Schedules) -> dict[str, list[str]]:
    """The names of the layers that a tuner found no schedule for, by the reason."""
    keys = {name: task.key for name, task in kernel_tasks(program).items()}
    found: dict[str, list[str]] = defaultdict(list)
    for layer in program.layers:
        if reason := schedules.missing.get(keys[layer.kernel]):
            found[reason].append(layer.name)
    return dict(found)


def _density(program: LoweredProgram, layers: Sequence[ConvLayer]) -> int:
    """Average density of the weights of layers that share a kernel, in percent: see `TuningTask`."""
    if layers[0].workload.format == "dense":
        return DENSE
    stored = [stored_fraction(layer.workload, program.weight(layer)) for layer in layers]
    return rounded_density(float(np.mean(stored)))


def choose(
    program: LoweredProgram, schedules: Schedules, target: Target, opt_level: int, scratch: Path
) -> tuple[list[KernelChoice], dict[str, tvm.tirx.PrimFunc]]:
    """The choice for every kernel, and the tuned PrimFuncs that were chosen, by kernel name.

    A tuned kernel is compared with the untuned one on the layer's weight and a random input, then timed in
    the network, in fresh processes that hold the board alone. The libraries are left in `scratch`.
    """
    tasks = kernel_tasks(program)
    keys = {name: task.key for name, task in tasks.items()}
    tuned = {name: schedules.found[key] for name, key in keys.items() if key in schedules.found}
    choices = {
        name: KernelChoice(name, tuned=False, reason=schedules.missing[key])
        for name, key in keys.items()
        if name not in tuned
    }
    errors = _errors(program, tuned, target, scratch) if tuned else {}
    wrong = {name: error for name, error in errors.items() if not error <= tolerance(tasks[name].workload)}
    for name, error in wrong.items():
        reason = f"the tuned kernel is wrong by {error:.1g} of its largest output"
        choices[name] = KernelChoice(name, tuned=False, reason=reason)
    right = {name: function for name, function in tuned.items() if name not in wrong}
    if right:
        choices |= _raced(program, right, target, opt_level, scratch)
    chosen = {name: function for name, function in right.items() if choices[name].tuned}
    return [choices[name] for name in keys], chosen


def _errors(
    program: LoweredProgram, tuned: Mapping[str, tvm.tirx.PrimFunc], target: Target, scratch: Path
) -> dict[str, float]:
    """Largest difference between the outputs of each tuned kernel and its untuned one, relative to
    the largest output."""
    layers = {layer.kernel: layer for layer in program.layers}
    pairs = []
    for name in tuned:
        layer = layers[name]
        operands = arguments(layer.workload, layer.algorithm, program.weight(layer))
        pairs.append(KernelPair(f"{name}_untuned", f"{name}_tuned", operands))
    functions = {f"{name}_untuned": kernels.untuned(layers[name], target.code) for name in tuned}
    functions |= {f"{name}_tuned": function for name, function in tuned.items()}
    named = {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    library = scratch / "kernels.so"
    linking.export(
        tvm.compile(tvm.IRModule(named), tvm_target(target.code)), target.code, target.linker, library
    )
    compared = compare_kernels(library, pairs, target)
    return {name: comparison.relative_error for name, comparison in zip(tuned, compared, strict=True)}


def _raced(
    program: LoweredProgram,
    tuned: Mapping[str, tvm.tirx.PrimFunc],
    target: Target,
    opt_level: int,
    scratch: Path,
) -> dict[str, KernelChoice]:
    """The choice for each of these kernels, by their times in the network and the network's own."""

    def built(name: str, used: Mapping[str, tvm.tirx.PrimFunc]) -> Path:
        library = scratch / f"{name}.so"
        build_library(program, used, target.code, target.linker, opt_level, library)
        return library

    inputs = _random_input(program)
    untuned = built("untuned", {})
    before, after = (
        _call_times(network.calls) for network in race([untuned, built("tuned", tuned)], inputs, target)
    )
    choices = {name: _choice(name, before[name], after[name]) for name in tuned}
    faster = {name: function for name, function in tuned.items() if choices[name].tuned}
    if not faster:
        return choices
    plain, mixed = race([untuned, built("mixed", faster)], inputs, target)
    if mixed.median_ms < WORTH_TUNING * plain.median_ms:
        return choices
    reason = "the network gains too little by the tuned kernels that are faster"
    return choices | {name: replace(choices[name], tuned=False, reason=reason) for name in faster}


def _choice(kernel: str, untuned_ms: float, tuned_ms: float) -> KernelChoice:
    tuned = tuned_ms < untuned_ms
    reason = f"the tuned kernel is {'faster' if tuned else 'no faster'} in the network"
    return KernelChoice(kernel, tuned, reason, untuned_ms, tuned_ms)


def _call_times(calls: Iterable[KernelTime]) -> dict[str, float]:
    """Milliseconds of a call of each kernel, the mean over its calls in one run."""
    times = defaultdict(list)
    for call in calls:
        times[call.kernel].append(call.median_ms)
    return {kernel: float(np.mean(each)) for kernel, each in times.items()}


def _random_input(program: LoweredProgram) -> np.ndarray:
    data = program.module["main"].params[0].ty
    shape = tuple(int(extent) for extent in data.shape)
    return np.random.default_rng(0).standard_normal(shape).astype(str(data.dtype))
