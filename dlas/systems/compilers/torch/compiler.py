"""A network as PyTorch exports it, for PyTorch (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.torch` runs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners.torch import FILE
from dlas.interfaces.compiler import RunsOn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES: Mapping[str, str] = {}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16")
NOT_TAKEN = {
    "int8": "operator by operator, PyTorch converts to float32 and back (compiler=torch_inductor does not)"
}
FLOAT16: Mapping[str, str] = {}
RUNS_ON = RunsOn.ANY


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the exported network with its weights."""
    import torch

    torch.export.save(program, library / FILE)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the file, which is for every machine that PyTorch is for."""
    shutil.copy(kept / FILE, library)
