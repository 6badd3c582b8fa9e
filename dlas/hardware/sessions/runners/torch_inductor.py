"""The runner of packages that AOTInductor compiled, on the CPU. PyTorch loads them.

`dlas.systems.compilers.torch_inductor` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlas.hardware.sessions.on_torch import OnTorch

PACKAGES = {"torch": "torch"}

FILE = "network.pt2"


@dataclass(frozen=True)
class Network(OnTorch):
    """A network in a package that is loaded: machine code, with calls of PyTorch's own operators."""

    loader: Any

    def run(self, images: Any) -> Any:
        return self.loader.boxed_run([images])[0]  # it empties the list


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The threads; all else is in the package."""
    return {"torch.set_num_threads": str(threads), "run_single_threaded": "True"}


def prepare(device: str) -> None:
    """Import PyTorch, and what loads a package."""
    import torch._inductor.package  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's package, which one thread calls, as the name of its setting says."""
    import torch
    from torch._inductor import aoti_load_package

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return Network(aoti_load_package(os.fspath(library / FILE), run_single_threaded=True).loader)
