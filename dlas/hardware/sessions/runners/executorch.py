"""The runner of .pte files by ExecuTorch, on the CPU. Its Python bindings take PyTorch's tensors.

`dlas.systems.compilers.executorch` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.hardware.sessions.on_cpu import OnCpu

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = {"executorch": "executorch", "torch": "torch"}

FILE = "network.pte"


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
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(threads)
    return Network(portable_lib._load_for_executorch(os.fspath(library / FILE)))
