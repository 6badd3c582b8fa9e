"""The runner of .pte files by ExecuTorch, on the CPU. Its Python bindings take PyTorch's tensors.

`dlas.systems.compilers.executorch` writes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.hardware.sessions.shared.numbered import numbered
from dlas.hardware.sessions.shared.on_cpu import OnCpu

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = {"executorch": "executorch", "torch": "torch"}

FILE = "network.pte"

LAYER = re.compile(
    rb"(?:(?:Convolution|Deconvolution|Fully Connected) \(\w+, (?P<type>[QF])\w+[^)]*\)"
    rb"|native_call_(?:convolution|addmm|mm|linear)\b)"
)
"""What ExecuTorch's trace of a run calls a layer, such as "Convolution (NHWC, QC8) IGEMM #3" of XNNPACK's, of
which the data type begins with a Q where it is quantized."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network that ExecuTorch has loaded."""

    uncounted = "ExecuTorch keeps the threads that it was loaded with"

    module: Any

    def put(self, images: np.ndarray) -> tuple[Tensor]:
        import torch

        return (torch.from_numpy(np.ascontiguousarray(images)),)

    def run(self, images: tuple[Tensor]) -> Tensor:
        output: Tensor = self.module.forward(images)[0]
        return output

    def array(self, output: Tensor) -> np.ndarray:
        found: np.ndarray = output.numpy().copy()
        return found

    def describe(self) -> Mapping[str, str]:
        return {"executorch": version("executorch")}


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The kernels and the size of the pool of threads, which would have every core otherwise."""
    return {"backend": "XNNPACK", "threadpool": str(threads)}


def prepare(device: str) -> None:
    """Import ExecuTorch, which imports PyTorch."""
    from executorch.extension.pybindings import portable_lib  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's .pte file. The threads are started anew, so that they keep to the cores of
    the process."""
    return _loaded(library, threads)


def data_types(library: Path, threads: int, images: np.ndarray) -> Mapping[str, str]:
    """What ExecuTorch's own trace of one run tells of each layer."""
    network = _loaded(library, threads, enable_etdump=True)
    network.run(network.put(images))
    with TemporaryDirectory(prefix="dlas-") as scratch:
        trace = Path(scratch, "trace")
        network.module.write_etdump_result_to_file(os.fspath(trace), os.fspath(Path(scratch, "debug")))
        told = LAYER.finditer(trace.read_bytes())
        types = ["int8" if layer["type"] == b"Q" else "float32" for layer in told]
    return dict(zip(numbered(types), types, strict=True))


def _loaded(library: Path, threads: int, **options: bool) -> Network:
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(threads)
    return Network(portable_lib._load_for_executorch(os.fspath(library / FILE), **options))
