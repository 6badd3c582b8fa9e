"""A network with a kernel of known extra work at its end, for the scripts that look for slowdowns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from tvm import relax, te

from dlas import config
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.timing import measuring
from dlas.hardware.timing.measuring import Network
from dlas.hardware.timing.race import race
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm.building import build_library

OPT_LEVEL = 3
FEW, MANY = 1, 400_000
"""Numbers of steps between which the time of one is found: the least, and half a millisecond or so."""


def steps_for(
    lowered: LoweredProgram,
    plain: Path,
    image: np.ndarray,
    target: Target,
    protocol: config.Timing,
    factors: Sequence[float],
) -> Mapping[float, int]:
    """The steps of extra work that have the network take so many times as long as by the library `plain`, in
    sessions of the protocol.

    A network takes longer in a race than in a session, where nothing else comes between its runs. So the
    number of steps that a race finds for the largest factor is tried in sessions, beside `plain`, and the
    others are in proportion to what it took there."""
    largest = max(factors)
    with tempfile.TemporaryDirectory(prefix="dlas-slowed-") as folder:
        tried = _raced(lowered, plain, image, target, largest, Path(folder))
        slowed = library(lowered, tried, target, Path(folder) / "tried.so")
        then, now = measuring.measure_in_turn(
            [Network({1: each}, image) for each in (plain, slowed)],
            target,
            protocol,
            is_enough=lambda pair: True,
        )
    took = Comparison(then, now, paired=True).ratio - 1
    return {factor: max(FEW, round(tried * (factor - 1) / took)) for factor in factors}


def _raced(
    lowered: LoweredProgram, plain: Path, image: np.ndarray, target: Target, factor: float, folder: Path
) -> int:
    """The steps that have the network take so many times as long by what a race tells of both."""
    worked = [library(lowered, steps, target, folder / f"{steps}.so") for steps in (FEW, MANY)]
    alone, *raced = race([plain, *worked], image, target).contenders
    few, many = (contender.calls[-1].turns.median_ms for contender in raced)
    return FEW + round((factor - 1) * alone.median_ms / (many - few) * (MANY - FEW))


def library(lowered: LoweredProgram, steps: int, target: Target, path: Path) -> Path:
    """The network with so many steps of extra work, in the file `path`."""
    slower = replace(lowered, module=_with_work(lowered.module, steps))
    build_library(slower, {}, target.code, target.linker, OPT_LEVEL, path)
    return path


def _with_work(module: tvm.IRModule, steps: int) -> tvm.IRModule:
    """A `main` that calls the network's, and then a kernel that sums a nothing step by step and adds it to
    the outputs: each addition waits for the one before, which no compiler may change."""
    others = {var: function for var, function in module.functions_items() if var.name_hint != "main"}
    network = module["main"]
    builder = relax.BlockBuilder(tvm.IRModule(others))
    called = builder.add_func(network.without_attr("global_symbol"), "network")
    given = [relax.Var(one.name, one.ty) for one in network.params]
    with builder.function("main", given, attrs={"num_input": 1}):
        found = builder.emit(relax.Call(called, given))
        builder.emit_func_output(builder.emit_te(lambda tensor: _worked(tensor, steps), found))
    return builder.get()


def _worked(given: te.Tensor, steps: int) -> te.Tensor:
    step = te.reduce_axis((0, steps), "step")
    first = given(*(0 for _ in given.shape))
    nothing = te.compute((1,), lambda _: te.sum(first * step.astype("float32"), axis=step), name="work")
    return te.compute(given.shape, lambda *index: given(*index) + nothing(0) * 1e-38, name="added")
