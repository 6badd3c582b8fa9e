"""A network with a kernel of known extra work at its end, for the scripts that look for slowdowns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from tvm import relax, te

from dlas.hardware.timing.race import race
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm.building import build_library

OPT_LEVEL = 3
FEW, MANY = 1, 400_000
"""Numbers of steps between which the time of one is found: the least, and half a millisecond or so."""


def steps_for(
    lowered: LoweredProgram, plain: Path, image: np.ndarray, target: Target, factors: Sequence[float]
) -> Mapping[float, int]:
    """The steps of extra work that have the network take so many times as long as by the library `plain`.

    The extra kernel is timed by itself: networks whose data lies elsewhere in memory differ by as much as the
    smaller factors."""
    with tempfile.TemporaryDirectory(prefix="dlas-slowed-") as folder:
        tried = [library(lowered, steps, target, Path(folder) / f"{steps}.so") for steps in (FEW, MANY)]
        alone, *worked = race([plain, *tried], image, target).contenders
    few, many = (contender.calls[-1].turns.median_ms for contender in worked)
    of_step = (many - few) / (MANY - FEW)
    extra = {factor: (factor - 1) * alone.median_ms - few for factor in factors}
    return {factor: FEW + max(0, round(ms / of_step)) for factor, ms in extra.items()}


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
