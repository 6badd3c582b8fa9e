"""A network as a file of MNN's (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.mnn` runs it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners import mnn as runner
from dlas.interfaces.compiler import RunsOn
from dlas.systems.compilers import converting

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"onnx": "onnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16")
NOT_TAKEN = {"int8": "MNN takes the weights of ONNX's quantized convolutions for images, and fails"}
FLOAT16 = {"aarch64": "fullfp16"}
RUNS_ON = RunsOn.ANY

CONVERTER = (sys.executable, "-P", "-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)")
"""MNN's converter by itself. Its command `mnnconvert` does more: it has pip install a client of a log server,
and tells that server of each conversion and machine."""


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network by MNN's converter, from ONNX. The file holds no choice for a CPU: MNN makes them as
    it loads."""
    from dlas.systems.compilers import onnx_file

    name, as_float16 = (runner.HALF_FILE, ["--fp16"]) if _is_float16(program) else (runner.FILE, [])
    with TemporaryDirectory(prefix="dlas-") as scratch:
        file = Path(scratch, "network.onnx")
        onnx_file.write(program, file)
        files = ["--modelFile", os.fspath(file), "--MNNModel", os.fspath(library / name)]
        command = [*CONVERTER, "-f", "ONNX", *files, *as_float16, "--bizCode", "dlas"]
        converting.convert("MNN", command, library / name, Path(scratch))


def _is_float16(program: ExportedProgram) -> bool:
    import torch

    return any(weight.dtype is torch.float16 for weight in program.state_dict.values())


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the file, which is for every CPU that computes in its data type."""
    shutil.copy(runner.file(kept), library)
