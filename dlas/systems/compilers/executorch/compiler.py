"""A network as a .pte file for ExecuTorch (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.executorch` runs it.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.errors import first_line
from dlas.hardware.sessions.runners import executorch as runner
from dlas.interfaces.compiler import RunsOn
from dlas.systems.compilers import converting

if TYPE_CHECKING:
    from executorch.exir import EdgeProgramManager
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"executorch": "executorch"}
PROGRAMS = ()
DATA_TYPES = ("float32", "float16", "int8")
NOT_TAKEN: Mapping[str, str] = {}
FLOAT16 = {"x86_64": "avx512fp16", "aarch64": "fullfp16"}
RUNS_ON = RunsOn.ANY

MACS = "macs.json"
"""Multiply-accumulates of the layers of an int8 network, which its .pte file does not tell."""


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network for XNNPACK, and what XNNPACK does not take for ExecuTorch's portable kernels. The
    file holds no choice for a CPU: XNNPACK makes them as it loads."""
    from dlas.systems.compilers.executorch import quantized

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what it imports about themselves
            is_quantized = quantized.is_quantized(program)
            edge, counted = _quantized(program) if is_quantized else (_lowered(program), None)
            content = edge.to_executorch().buffer
    except Exception as error:  # whatever its passes raise
        raise converting.refused("ExecuTorch", first_line(error)) from error
    (library / runner.FILE).write_bytes(content)
    if counted is not None:
        (library / MACS).write_text(json.dumps(counted))


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the files, which are for every CPU."""
    shutil.copy(kept / runner.FILE, library)
    if (kept / MACS).exists():
        shutil.copy(kept / MACS, library)


def macs(library: Path) -> Mapping[str, int]:
    """Multiply-accumulates of each layer of an int8 network, by the name that the runner gives it."""
    found: dict[str, int] = json.loads((library / MACS).read_text())
    return found


def _quantized(program: ExportedProgram) -> tuple[EdgeProgramManager, dict[str, int]]:
    """The int8 network, lowered, and the multiply-accumulates of its layers."""
    from dlas.systems.compilers.executorch import quantized

    in_float: set[str] = set()
    while True:
        signed = quantized.made_signed(program, in_float)
        edge = _lowered(signed)
        left = quantized.integer_weights(edge.exported_program())
        if left <= in_float:
            return edge, quantized.macs(signed)
        in_float |= left


def _lowered(program: ExportedProgram) -> EdgeProgramManager:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
