"""The runner of what TVM wrote: a shared library whose `main` is the network.

`dlas.systems.compilers.tvm` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlas.hardware.sessions import tvm_runtime
from dlas.hardware.sessions.device import Device

if TYPE_CHECKING:
    from tvm_ffi import Tensor

    from dlas.hardware.sessions.device import Entry

PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi"}


@dataclass(frozen=True)
class Network:
    """A network that TVM compiled, loaded on its device. On a GPU images and outputs lie in its memory."""

    device: Device
    main: Entry

    @property
    def uncounted(self) -> str:
        return "" if self.device.is_host else "a GPU computes it"

    def put(self, images: np.ndarray) -> Tensor:
        return self.device.put(images)

    def run(self, images: Tensor) -> Tensor:
        return self.main(images)

    def array(self, output: Tensor) -> np.ndarray:
        return tvm_runtime.array(output)

    def fill_caches(self, other: np.ndarray) -> None:
        self.device.fill_caches(other)

    def describe(self) -> Mapping[str, str]:
        return self.device.describe()


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The threads; all else is in the library."""
    return {"TVM_NUM_THREADS": str(threads)}


def prepare(device: str) -> None:
    """Load TVM's runtime, and find the device."""
    Device(device)


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the library. TVM reads the number of its threads from the process's environment."""
    on = Device(device)
    return Network(on, on.main(tvm_runtime.loaded(library)))
