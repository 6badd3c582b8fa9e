"""TVM's runtime by itself, for a session: libraries, tensors and the virtual machine that runs a network.

    loaded(library) -> module; tensor(array, device) -> tensor; array(tensor); machine(module, device)

`import tvm` would take a session three times as long: it imports the Python of TVM's compiler, and reads all
debug information for the first of the compiler's classes that the runtime does not know. What is called here
is what tvm.runtime calls.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tvm_ffi import Device, Module, Tensor

CPU, POOLED_ALLOCATOR = 1, 2
"""DLPack's number of the CPU (dlpack.h, kDLCPU), and the virtual machine's number of its pooled
memory allocator."""

ALIGNMENT = 64
"""Bytes: tvm/include/tvm/runtime/device_api.h, kAllocAlignment."""

THREADS = "TVM_NUM_THREADS"
"""Environment variable in which a session is told its threads: TVM's runtime reads them there."""

EXISTS, NAME = 0, 5
"""Attributes of a device: tvm/include/tvm/runtime/device_api.h, DeviceAttrKind."""


def folder() -> Path:
    """The folder of TVM's libraries."""
    found = find_spec("tvm")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("no module named 'tvm'", name="tvm")
    return Path(found.origin).parent / "lib"


def loaded(library: Path) -> Module:
    """The library, loaded into this process."""
    import tvm_ffi

    _load_runtime()
    return tvm_ffi.load_module(os.fspath(library.resolve()))


def device(kind: str) -> Device:
    """The first device of its kind."""
    import tvm_ffi

    _load_runtime()
    return tvm_ffi.device(kind, 0)


def told(device: Device, what: int) -> Any:
    """An attribute of the device that TVM tells, such as EXISTS."""
    return _call("GetDeviceAttr", device.dlpack_device_type(), device.index, what)


def wait_for(device: Device) -> None:
    """Wait until the device has done what it was told."""
    _call("Device_StreamSync", device, 0)


def tensor(array: np.ndarray, on: Device | None = None) -> Tensor:
    """A copy of the array in the memory of a device, the CPU by default; aligned as kernels expect it."""
    import tvm_ffi

    place, array = on or device("cpu"), np.asarray(array, order="C")
    shape, kind = tvm_ffi.Shape(array.shape), tvm_ffi.dtype(str(array.dtype))
    made: Tensor = _call("TVMTensorAllocWithScope", shape, kind, place, None)
    _call("TVMTensorCopyFromBytes", made, _address(array), array.nbytes)
    return made


def threads() -> int:
    """Number of threads that the library may compute with."""
    return int(os.environ[THREADS])


def start_threads() -> None:
    """Start the threads that kernels compute with, as many as TVM_NUM_THREADS says, the calling one among
    them; they start with the first kernel otherwise."""
    _call("NumThreads")


def view(array: np.ndarray) -> Tensor:
    """The array's own memory as a tensor of the CPU; kernels expect it to begin at a multiple of
    `ALIGNMENT`."""
    import tvm_ffi

    _load_runtime()
    return tvm_ffi.from_dlpack(array)


def array(tensor: Tensor) -> np.ndarray:
    """A copy of the tensor as an array in the host's memory."""
    found = np.empty(tuple(tensor.shape), str(tensor.dtype))
    _call("TVMTensorCopyToBytes", tensor, _address(found), found.nbytes)
    return found


def machine(network: Module, device: Device) -> Module:
    """The virtual machine that runs the loaded library of a network, whose weights go to the device's
    memory. Shapes are computed on the CPU."""
    found: Module = network["vm_load_executable"]()
    kinds = dict.fromkeys((device.dlpack_device_type(), CPU))
    found["vm_initialization"](*(number for kind in kinds for number in (kind, 0, POOLED_ALLOCATOR)))
    return found


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _call(name: str, *arguments: Any) -> Any:
    return _function(name)(*arguments)


@cache
def _function(name: str) -> Any:
    import tvm_ffi

    _load_runtime()
    return tvm_ffi.get_global_func(f"runtime.{name}")


@cache
def _load_runtime() -> None:
    from tvm_ffi.libinfo import load_lib_ctypes

    load_lib_ctypes("tvm", "tvm_runtime", "RTLD_GLOBAL", extra_lib_paths=[folder()])
