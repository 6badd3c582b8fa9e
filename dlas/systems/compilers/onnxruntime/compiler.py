"""A network as an ONNX file for ONNX Runtime (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.onnxruntime` runs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners import onnxruntime as runner
from dlas.interfaces.compiler import RunsOn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"onnx": "onnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16", "int8")
NOT_TAKEN: Mapping[str, str] = {}
FLOAT16 = {"aarch64": "fullfp16"}
RUNS_ON = RunsOn.ANY


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network as ONNX. The file holds no choice for a CPU: ONNX Runtime makes them as it loads."""
    from dlas.systems.compilers import onnx_file

    onnx_file.write(program, library / runner.FILE)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the ONNX file, which is for every CPU."""
    shutil.copy(kept / runner.FILE, library)


def macs(library: Path) -> Mapping[str, int]:
    """Multiply-accumulates of each operator that has some, by its name in the ONNX file."""
    from dlas.systems.compilers import onnx_file

    return onnx_file.macs(library / runner.FILE)
