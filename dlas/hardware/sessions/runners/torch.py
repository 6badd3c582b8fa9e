"""The runner of networks that PyTorch exported, by PyTorch's own operators, on the CPU.

`dlas.systems.compilers.torch` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlas.hardware.sessions.shared.on_torch import OnTorch

PACKAGES = {"torch": "torch"}

FILE = "network.pt2"


@dataclass(frozen=True)
class Network(OnTorch):
    """An exported network as a module, whose operators run one after another."""

    module: Any

    def run(self, images: Any) -> Any:
        return self.module(images)


def settings(library: Path, threads: int) -> Mapping[str, str]:
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
