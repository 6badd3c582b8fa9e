"""A network with a kernel of known extra work at its end, for the scripts that look for slowdowns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from tvm import relax, te

from dlas.hardware.timing.race import race
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm.building import build_library

OPT_LEVEL, STEPS = 3, 2_000_000
"""TVM's level, and the steps of the kernel by which the time of one is found."""


def steps_for(plain: Path, lowered: LoweredProgram, image: np.ndarray, target: Target, factor: float) -> int:
    """The steps of extra work that have the network take `factor` times as long as the library `plain`: by
    the fastest turns of a race with one of `STEPS` steps, as what others do on the machine is in neither."""
    tried = library(lowered, STEPS, target, plain.with_name("calibration.so"))
    contenders = race([plain, tried], image, target).contenders
    without, beside = (min(contender.turns.ms) for contender in contenders)
    return round(STEPS * (factor - 1) * without / max(beside - without, 1e-6))


def library(lowered: LoweredProgram, steps: int, target: Target, path: Path) -> Path:
    """The network with so many steps of extra work, in the file `path`."""
    slower = replace(lowered, module=_with_work(lowered.module, steps))
    build_library(slower, {}, target.code, target.linker, OPT_LEVEL, path)
    return path


def _with_work(module: tvm.IRModule, steps: int) -> tvm.IRModule:
    """A `main` that calls the network's, and then a kernel that adds a nothing to its outputs, step by step:
    each addition waits for the one before, which no compiler may change."""
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
    nothing = te.compute(
        given.shape, lambda *index: te.sum(given(*index) * step.astype("float32"), axis=step), name="work"
    )
    return te.compute(given.shape, lambda *index: given(*index) + nothing(*index) * 1e-38, name="added")
