"""A network as files of OpenVINO's: see dlas.interfaces.compiler.NetworkCompiler."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.errors import last_line
from dlas.hardware.sessions.runners import openvino as runner

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"onnx": "onnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32", "int8")
FOR_BOARDS = True


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network, read from ONNX, in OpenVINO's own form, its weights in float32. The files hold no
    choice for a CPU: OpenVINO makes them as it loads."""
    import openvino

    from dlas.systems.compilers import converting, onnx_file

    with TemporaryDirectory(prefix="dlas-") as scratch:
        file = Path(scratch) / "network.onnx"
        onnx_file.write(program, file)
        try:
            model = openvino.Core().read_model(file)
        except RuntimeError as error:  # so are all of OpenVINO's
            raise converting.refused("OpenVINO", last_line(error)) from error
        openvino.save_model(model, library / runner.FILE, compress_to_fp16=False)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the files, which are for every CPU."""
    shutil.copytree(kept, library, dirs_exist_ok=True)
