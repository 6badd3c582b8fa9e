"""The device that a library computes on: the CPU, or a GPU, whose work the host only begins
and then waits for.

device = Device(kind); device.main(loaded(library))(device.put(image)) -> output
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlas.hardware.sessions import tvm_runtime
from dlas.hardware.targets import gpu

if TYPE_CHECKING:
    from tvm_ffi import Module, Tensor

    Entry = Callable[[Tensor], Tensor]

TVM_RUNTIME = "libtvm_runtime_cuda.so"
"""TVM's runtime for CUDA. TVM loads it by itself only beside its compiler, which a session does without."""

GPU_CACHE_BYTES = 128 << 20
"""Size of the array that fills a GPU's caches: no second-level cache of NVIDIA's has more."""


class Device:
    """The device of a target's `kind`; where CUDA can't use the GPU, the process ends and says so."""

    def __init__(self, kind: str) -> None:
        self._on_gpu = kind == "cuda"
        self._device = tvm_runtime.device(kind)
        if self._on_gpu:
            _prepare_tvm(tvm_runtime.folder() / TVM_RUNTIME)
        if not tvm_runtime.told(self._device, tvm_runtime.EXISTS):
            sys.exit(f"target: TVM can use no GPU here; it takes {gpu.NEEDED}")

    @property
    def is_host(self) -> bool:
        """Whether it is the CPU that this process runs on."""
        return not self._on_gpu

    def put(self, array: np.ndarray) -> Tensor:
        """The array in the device's memory."""
        return tvm_runtime.tensor(array, self._device)

    def machine(self, network: Module) -> Module:
        """The virtual machine that runs the loaded library of a network, whose weights go to the
        device's memory."""
        return tvm_runtime.machine(network, self._device)

    def main(self, network: Module) -> Entry:
        """The network's `main`, which returns when its output is there."""
        main: Entry = self.machine(network)["main"]
        if not self._on_gpu:
            return main

        def main_and_wait(image: Tensor) -> Tensor:
            output = main(image)
            tvm_runtime.wait_for(self._device)
            return output

        return main_and_wait

    def wait(self) -> None:
        """Wait until the device has done what it was told; a CPU has."""
        if self._on_gpu:
            tvm_runtime.wait_for(self._device)

    def fill_caches(self, other: np.ndarray) -> None:
        """Have a GPU's caches hold something else; a CPU's do, once `other` was written."""
        if self._on_gpu:
            self.put(np.resize(other, GPU_CACHE_BYTES))

    def describe(self) -> dict[str, str]:
        """Facts on the device that `run_environment.of_this_machine` doesn't tell."""
        return {"gpu": str(tvm_runtime.told(self._device, tvm_runtime.NAME))} if self._on_gpu else {}


def _prepare_tvm(runtime: Path) -> None:
    """Load TVM's runtime for GPUs, and have it take the machine code that is in a library."""
    import tvm_ffi

    gpu.load_runtime()
    try:
        ctypes.CDLL(os.fspath(runtime))
    except OSError as error:
        sys.exit(f"target: TVM can use no GPU here ({error}); it takes {gpu.NEEDED}")
    # TVM's own would compile the source anew, and a board has no compiler.
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", gpu.machine_code, override=True)
