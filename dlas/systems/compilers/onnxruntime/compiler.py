"""A network as an ONNX file for ONNX Runtime: see dlas.interfaces.compiler.NetworkCompiler."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners import onnxruntime as runner

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"onnx": "onnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32", "int8")
FOR_BOARDS = True


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network as ONNX. The file holds no choice for a CPU: ONNX Runtime makes them as it loads."""
    from dlas.systems.compilers import onnx_file

    onnx_file.write(program, library / runner.FILE)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the ONNX file, which is for every CPU."""
    shutil.copy(kept / runner.FILE, library)
