"""The runner of IREE's modules by its runtime, on the CPU.

`dlas.systems.compilers.iree` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.shared.on_cpu import OnCpu

PACKAGES = {"iree.runtime": "iree-base-runtime"}

FILE = "network.vmfb"

DRIVER = "local-task"
"""IREE's way to a CPU with a pool of threads."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network that IREE's runtime has loaded, with its images in what IREE calls the device's memory."""

    uncounted = "IREE keeps the threads that it was loaded with"

    main: Any
    device: Any

    def put(self, images: np.ndarray) -> Any:
        from iree import runtime

        return runtime.asdevicearray(self.device, np.ascontiguousarray(images))

    def run(self, images: Any) -> np.ndarray:
        output: np.ndarray = self.main(images).to_host()  # waits for it
        return output

    def array(self, output: np.ndarray) -> np.ndarray:
        return np.array(output)

    def describe(self) -> Mapping[str, str]:
        return {"iree-base-runtime": version("iree-base-runtime")}


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The driver and its threads, one group of which is one thread."""
    return {"driver": DRIVER, "task_topology_group_count": str(threads)}


def prepare(device: str) -> None:
    """Import IREE's runtime."""
    from iree import runtime  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's module: its one function."""
    from iree import runtime

    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    context = runtime.Config(DRIVER)
    file = os.fspath(library / FILE)
    module = runtime.load_vm_module(runtime.VmModule.mmap(context.vm_instance, file), context)
    names = [name for name in module.vm_module.function_names if name[:2] != "__" and "$" not in name]
    if len(names) != 1:
        raise ValueError(f"{FILE} has {len(names)} functions instead of one")
    return Network(module[names[0]], context.device)
