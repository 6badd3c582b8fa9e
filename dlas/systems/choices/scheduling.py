"""Choice of each kernel's schedule: the tuned one where it is right and faster in the network.

A kernel alone, its caches warm, is not the kernel that a network calls. So the network is built without and
with its tuned kernels, both run in turn in one process, and every kernel's time is taken where the network
calls it. A tuned kernel is faster where the whole interval of its ratio to the untuned one says so; in a tie
the untuned one stays. The network of the faster ones is then raced against the untuned network, and where it
does not gain more than identical networks differ by, no kernel is tuned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tvm

from dlas.algorithms.shared.sparse.formats import stored_fraction
from dlas.hardware.results.statistics import Interval
from dlas.hardware.targets import steadiness
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.steadiness import Unsteadiness
from dlas.hardware.timing.race import RESOLVED, Call, Turns, race, together
from dlas.hardware.timing.single_kernels import KernelPair, relative_errors
from dlas.interfaces.program import ConvLayer, LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import DENSE, Schedules, TuningTask, rounded_density
from dlas.systems.compilers.tvm import linking
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.program import kernels
from dlas.systems.program.kernel_choice import KernelChoice
from dlas.systems.program.operands import arguments, tolerance

FASTER = "the tuned kernel is faster in the network"
SLOWER = "the tuned kernel is slower in the network"
TIE = "a tie: the tuned kernel is no faster in the network"
TOO_LITTLE = "a tie: the network gains too little by the tuned kernels that are faster"


@dataclass(frozen=True)
class Chosen:
    """The schedules of a network's kernels."""

    choices: list[KernelChoice]
    """The choice for every kernel, in the order of the network."""
    tuned: dict[str, tvm.tirx.PrimFunc]
    """The tuned kernels that were chosen, by name."""
    unsteady: tuple[str, ...]
    """Reasons to doubt the times by which they were chosen; none where the board held still, or nothing was
    timed."""
    network: Interval | None = None
    """Time of the network with the tuned kernels that were faster in it, as a share of the untuned network's;
    None where none was."""


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
) -> Chosen:
    """The choice for every kernel.

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
    raced = _raced(program, right, target, opt_level, scratch) if right else _Raced({})
    choices |= raced.choices
    chosen = {name: function for name, function in right.items() if choices[name].tuned}
    in_order = [choices[name] for name in keys]
    return Chosen(in_order, chosen, steadiness.worst(raced.unsteadiness), raced.network)


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
    return dict(zip(tuned, relative_errors(library, pairs, target), strict=True))


@dataclass(frozen=True)
class _Raced:
    """The choice for each kernel that was raced, the gain of the network, and the reasons to doubt both."""

    choices: dict[str, KernelChoice]
    network: Interval | None = None
    unsteadiness: Sequence[Unsteadiness] = ()


def _raced(
    program: LoweredProgram,
    tuned: Mapping[str, tvm.tirx.PrimFunc],
    target: Target,
    opt_level: int,
    scratch: Path,
) -> _Raced:
    """The choice for each of these kernels, by their times in the network and the network's own."""

    def built(name: str, used: Mapping[str, tvm.tirx.PrimFunc]) -> Path:
        library = scratch / f"{name}.so"
        build_library(program, used, target.code, target.linker, opt_level, library)
        return library

    inputs = _random_input(program)
    untuned = built("untuned", {})
    first = race([untuned, built("tuned", tuned)], inputs, target)
    unsteadiness = [*first.unsteadiness]
    before, after = (_by_kernel(network.calls) for network in first.contenders)
    choices = {name: _choice(name, before[name], after[name]) for name in tuned}
    faster = {name: function for name, function in tuned.items() if choices[name].tuned}
    gained = None
    if faster:
        second = race([untuned, built("mixed", faster)], inputs, target)
        unsteadiness += second.unsteadiness
        plain, mixed = (network.turns for network in second.contenders)
        gained = mixed.over(plain)
        if not mixed.beats(plain, RESOLVED):
            choices |= {name: replace(choices[name], tuned=False, reason=TOO_LITTLE) for name in faster}
    return _Raced(choices, gained, unsteadiness)


def _choice(kernel: str, untuned: Sequence[Turns], tuned: Sequence[Turns]) -> KernelChoice:
    """The choice by the kernel's calls in the untuned and in the tuned network."""
    ratio = together(tuned).over(together(untuned))
    reason = FASTER if ratio.high < 1 else SLOWER if ratio.low > 1 else TIE
    means = (together(calls).median_ms / len(calls) for calls in (untuned, tuned))
    return KernelChoice(kernel, reason == FASTER, reason, *means)


def _by_kernel(calls: Iterable[Call]) -> dict[str, list[Turns]]:
    found = defaultdict(list)
    for call in calls:
        found[call.kernel].append(call.turns)
    return found


def _random_input(program: LoweredProgram) -> np.ndarray:
    data = program.module["main"].params[0].ty
    shape = tuple(int(extent) for extent in data.shape)
    return np.random.default_rng(0).standard_normal(shape).astype(str(data.dtype))
