"""The runner of networks that PyTorch exported, by PyTorch's own operators, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.on_cpu import OnCpu

PACKAGES = {"torch": "torch"}

FILE = "network.pt2"


@dataclass(frozen=True)
class Network(OnCpu):
    """An exported network as a module, whose operators run one after another."""

    uncounted = "PyTorch keeps the threads that it was loaded with"

    module: Any

    def put(self, images: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(images))

    def run(self, images: Any) -> Any:
        return self.module(images)

    def array(self, output: Any) -> np.ndarray:
        found: np.ndarray = output.numpy()
        return found

    def describe(self) -> Mapping[str, str]:
        """Nothing: the version of torch is in every environment."""
        return {}


def settings(threads: int) -> Mapping[str, str]:
    """As PyTorch is by itself, with its convolutions by oneDNN, and no record of gradients."""
    return {
        "torch.set_num_threads": str(threads),
        "torch.set_float32_matmul_precision": "highest",
        "torch.set_grad_enabled": "False",
    }


def prepare(device: str) -> None:
    """Import PyTorch, and what reads an exported network."""
    import torch.export  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's file."""
    import torch

    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.set_grad_enabled(False)
    return Network(torch.export.load(library / FILE).module())
