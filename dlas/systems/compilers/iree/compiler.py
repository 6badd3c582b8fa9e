"""A network as a module of IREE's (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.iree` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners import iree as runner
from dlas.interfaces.compiler import RunsOn
from dlas.systems.compilers import converting

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"iree.compiler": "iree-base-compiler", **runner.PACKAGES, "onnx": "onnx"}
PROGRAMS = ()
DATA_TYPES = ("float32",)
NOT_TAKEN = {
    "float16": "IREE's machine code converts to float32 for every multiply-add",
    "int8": "IREE computes ONNX's quantized layers in float32",
}
FLOAT16: Mapping[str, str] = {}
RUNS_ON = RunsOn.TARGET

ONNX = "network.onnx"
"""The network as it was given to IREE, by which it is compiled for another CPU."""

MISTAKE = re.compile(r'error: (?P<problem>.+?)(?:: %.*)?(?:\n.*"onnx\.(?P<operator>\w+)"|$)', re.MULTILINE)
"""A mistake among IREE's diagnostics, with the line of its own code that it is about."""

IMPORTER = (sys.executable, "-m", "iree.compiler.tools.import_onnx")


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network as ONNX, and as machine code for the target's CPU."""
    from dlas.systems.compilers import onnx_file

    onnx_file.write(program, library / ONNX)
    _compile(target, library)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Compile the ONNX file for the target's CPU."""
    shutil.copy(kept / ONNX, library)
    _compile(target, library)


def _compile(target: CodeTarget, library: Path) -> None:
    from iree import compiler

    options = [
        f"--iree-llvmcpu-target-triple={target.triple}",
        f"--iree-llvmcpu-target-cpu={target.cpu}",
        "--iree-opt-data-tiling",
        "--iree-llvmcpu-enable-ukernels=all",
    ]
    if target.features:
        options.append(f"--iree-llvmcpu-target-cpu-features={','.join(target.features)}")
    with TemporaryDirectory(prefix="dlas-") as scratch:
        imported = Path(scratch, "network.mlir")
        command = [*IMPORTER, os.fspath(library / ONNX), "-o", os.fspath(imported)]
        converting.convert("IREE", command, imported, Path(scratch))
        try:
            compiler.compile_file(
                os.fspath(imported),
                input_type="onnx",
                target_backends=["llvm-cpu"],
                output_file=os.fspath(library / runner.FILE),
                extra_args=options,
            )
        except compiler.CompilerToolError as error:
            raise converting.refused("IREE", _reason(str(error))) from None


def _reason(said: str) -> str:
    """The first mistake that IREE's compiler tells of, and the operator of ONNX's that it is about."""
    told = MISTAKE.search(said)
    if told is None:
        return said.strip().partition("\n")[0]
    return f"{told['problem']} (onnx.{told['operator']})" if told["operator"] else told["problem"]
