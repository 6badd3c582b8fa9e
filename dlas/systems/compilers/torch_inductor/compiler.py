"""A network as a package of AOTInductor (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.torch_inductor` runs it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.hardware.sessions.runners import torch_inductor as runner
from dlas.interfaces.compiler import RunsOn
from dlas.systems.compilers import converting, exported_layers
from dlas.systems.compilers.torch_inductor import packaging

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES: Mapping[str, str] = {}
PROGRAMS = (packaging.CXX,)
DATA_TYPES = ("float32", "float16", "int8")
NOT_TAKEN: Mapping[str, str] = {}
FLOAT16: Mapping[str, str] = {}
RUNS_ON = RunsOn.HERE

EXPORTED = "exported.pt2"
"""The network as it was given to PyTorch, by which it is compiled for another CPU."""

COMPILER = (sys.executable, "-E", "-P", packaging.__file__)
"""The program that compiles. It sees none of what keeps torch out of a process that rebuilds."""


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the exported network, and a package with machine code for this CPU."""
    import torch

    torch.export.save(program, library / EXPORTED)
    _compile(library)


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Compile the exported network for this CPU."""
    shutil.copy(kept / EXPORTED, library)
    _compile(library)


def macs(library: Path) -> Mapping[str, int]:
    """Multiply-accumulates of each layer, by the name that the runner gives it."""
    import torch

    packaging.know_quantization()
    layers = exported_layers.of(torch.export.load(library / EXPORTED))
    counts = [exported_layers.macs(layer) for layer in layers]
    return dict(zip(runner.named(counts), counts, strict=True))


def _compile(library: Path) -> None:
    with TemporaryDirectory(prefix="dlas-") as scratch:
        command = [*COMPILER, os.fspath(library.absolute() / EXPORTED), runner.FILE]
        made = Path(scratch, runner.FILE)
        converting.convert("AOTInductor", command, made, Path(scratch))
        shutil.move(made, library)
