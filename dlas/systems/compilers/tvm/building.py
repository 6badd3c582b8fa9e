"""Build an exported library from the lowered program: every PrimFunc scheduled, the weights
packed and bound."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import tvm
from tvm import relax

from dlas.algorithms.shared.gpu.rules import schedule_by_rules
from dlas.hardware.targets.llvm import tvm_target
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.systems.compilers.tvm import cuda_compiler, linking
from dlas.systems.compilers.tvm.fallback_schedule import schedule_plainly
from dlas.systems.program import kernels
from dlas.systems.program.packing import packed_arrays


def build_library(
    program: LoweredProgram,
    tuned: Mapping[str, tvm.tirx.PrimFunc],
    target: CodeTarget,
    linker: str | None,
    opt_level: int,
    destination: Path,
) -> None:
    """Write the shared library whose `main(input)` is the whole network.

    `tuned` holds scheduled kernels by name; every other kernel gets its algorithm's untuned schedule.
    `linker` is the command to link with; None looks for one.
    Raises UserError where nothing is there to compile or to link it for the target.
    """
    require_tools(target, linker)
    module = _bound(scheduled(program, tuned, target), program)
    machine_code = cuda_compiler.embedding(target) if target.kind == "cuda" else nullcontext()
    with machine_code, tvm.transform.PassContext(opt_level=opt_level):
        executable = tvm.compile(module, tvm_target(target), relax_pipeline=_to_virtual_machine())
    linking.export(executable, target, linker, destination, kernels.c_code(program.layers))


def require_tools(target: CodeTarget, linker: str | None) -> None:
    """UserError unless the tools that compile and link for the target are there."""
    linking.link_command(target, linker)
    if target.kind == "cuda":
        cuda_compiler.require(target)


def scheduled(
    program: LoweredProgram, tuned: Mapping[str, tvm.tirx.PrimFunc], target: CodeTarget
) -> tvm.IRModule:
    """The program with every PrimFunc scheduled: as in `tuned`, else by its own untuned schedule."""
    layers = {layer.kernel: layer for layer in program.layers}
    module = tvm.IRModule(program.module.functions, attrs=program.module.attrs)
    for var, function in program.module.functions_items():
        name = var.name_hint
        if name in tuned:
            kernel = tuned[name]
        elif name in layers:
            kernel = kernels.untuned(layers[name], target)
        elif isinstance(function, tvm.tirx.PrimFunc):
            kernel = _beside_layers(function, target)
        else:
            continue
        module.update_func(var, kernel.with_attr("global_symbol", name))
    return module


def _beside_layers(function: tvm.tirx.PrimFunc, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """The schedule of a function that is no convolution."""
    return schedule_by_rules(function, target.arch) if target.kind == "cuda" else schedule_plainly(function)


def _bound(module: tvm.IRModule, program: LoweredProgram) -> tvm.IRModule:
    parameters = module["main"].params[1:]
    values = {
        var.name: tvm.runtime.tensor(array)
        for var, array in zip(parameters, packed_arrays(program), strict=True)
    }
    return relax.transform.BindParams("main", values)(module)


def _to_virtual_machine() -> tvm.transform.Pass:
    """The passes from Relax to VM code; the graph itself was optimized when it was lowered."""
    return tvm.transform.Sequential(
        [
            relax.transform.RewriteDataflowReshape(),
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            relax.transform.StaticPlanBlockMemory(),
            relax.transform.LowerAllocTensor(),
            relax.transform.KillAfterLastUse(),
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.ComputePrimValue(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )
