"""A network as files of ncnn's (dlas.interfaces.compiler.NetworkCompiler).

`dlas.hardware.sessions.runners.ncnn` runs them.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.errors import first_line
from dlas.hardware.sessions.runners import ncnn as runner
from dlas.interfaces.compiler import NetworkNotTaken, RunsOn
from dlas.systems.compilers import converting

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dlas.interfaces.targets.code_target import CodeTarget

PACKAGES = {"pnnx": "pnnx", **runner.PACKAGES}
PROGRAMS = ()
DATA_TYPES = ("float32",)
NOT_TAKEN = {
    "float16": "ncnn computes in float32 on x86-64 CPUs whatever they have",
    "int8": "ncnn quantizes by scales that it calibrates itself",
}
FLOAT16: Mapping[str, str] = {}
RUNS_ON = RunsOn.ANY

HEADER_LINES = 2
"""Lines of a .param file before its layers, each of which begins with the type of the layer."""

PREFIXES = ("aten::", "prim::", "pnnx.", "torch.", "F.", "nn.", "Tensor.")
"""Beginnings of the types of layers that pnnx leaves where ncnn has none of the kind."""


def convert(program: ExportedProgram, target: CodeTarget, library: Path) -> None:
    """Write the network by pnnx, from TorchScript, in float32. The files hold no choice for a CPU: ncnn makes
    them as it loads. NetworkNotTaken for more than one image at a time: ncnn's arrays have no axis for them.
    """
    import torch

    graph = program.module()
    (images,) = (node.meta["val"] for node in graph.graph.find_nodes(op="placeholder"))
    if images.shape[0] != 1:
        problem = f"ncnn takes one image at a time, not {images.shape[0]}"
        raise NetworkNotTaken(problem, key="timing.batch_sizes", remedy="timing.batch_sizes=[1]")
    with TemporaryDirectory(prefix="dlas-") as scratch, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = torch.fx.GraphModule(graph, graph.graph)
        try:
            traced = torch.jit.trace(network, (torch.zeros(images.shape),))  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever PyTorch raises as it traces
            raise converting.refused("TorchScript", first_line(error)) from error
        traced.save(os.fspath(Path(scratch, "network.pt")))
        _convert(list(images.shape), Path(scratch), library)
    if unknown := _unknown(library / runner.NETWORK):
        raise converting.refused("ncnn", f"it does not know {', '.join(unknown)}")


def convert_again(kept: Path, target: CodeTarget, library: Path) -> None:
    """Copy the files, which are for every CPU."""
    for name in (runner.NETWORK, runner.WEIGHTS):
        shutil.copy(kept / name, library)


def _convert(shape: Sequence[int], scratch: Path, library: Path) -> None:
    import pnnx

    sides = ",".join(map(str, shape))
    made = [f"ncnnparam={library / runner.NETWORK}", f"ncnnbin={library / runner.WEIGHTS}"]
    command = [pnnx.EXEC_PATH, "network.pt", f"inputshape=[{sides}]", "fp16=0", *made]
    converting.convert("pnnx", command, library / runner.WEIGHTS, scratch)


def _unknown(network: Path) -> list[str]:
    """Types of layers in a .param file that are none of ncnn's, each once."""
    layers = network.read_text().splitlines()[HEADER_LINES:]
    types = dict.fromkeys(line.split()[0] for line in layers if line.strip())
    return [name for name in types if name.startswith(PREFIXES)]
