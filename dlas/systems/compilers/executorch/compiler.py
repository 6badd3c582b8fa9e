"""A network as a .pte file for ExecuTorch (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.executorch` runs it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.errors import first_line
from dlas.hardware.sessions.runners.executorch import FILE
from dlas.interfaces.compiler import RunsOn
from dlas.systems.compilers import converting

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"executorch": "executorch"}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16")
FLOAT16 = {"x86_64": "avx512fp16", "aarch64": "fullfp16"}
RUNS_ON = RunsOn.ANY


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network for XNNPACK, and what XNNPACK does not take for ExecuTorch's portable kernels. The
    file holds no choice for a CPU: XNNPACK makes them as it loads."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    try:
        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        content = edge.to_executorch().buffer
    except Exception as error:  # whatever its passes raise
        raise converting.refused("ExecuTorch", first_line(error)) from error
    (library / FILE).write_bytes(content)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the file, which is for every CPU."""
    shutil.copy(kept / FILE, library)
