"""The NVIDIA GPU of this machine, and what TVM needs to run code on it. Nothing but Python is imported.

arch() -> "sm_87", or "" where there is none that can be used; load_runtime()
with_machine_code(source, code) -> source; machine_code(source) -> code
"""

from __future__ import annotations

import base64
import ctypes
from importlib.util import find_spec
from pathlib import Path

DRIVER = "libcuda.so.1"
"""Library of NVIDIA's driver."""

RUNTIME = "libcudart.so.13"
"""Library that TVM's own CUDA runtime is linked with."""

PIP_FOLDER = "nvidia.cu13"
"""Package into which NVIDIA's packages for Python unpack CUDA 13."""

MAJOR, MINOR = 75, 76
"""CUDA's driver API, CUdevice_attribute: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

MACHINE_CODE = "// Machine code: "
"""Start of the line of CUDA C++ that holds the machine code, in base64."""

NEEDED = f"NVIDIA's driver ({DRIVER}) and {RUNTIME}, which pip install 'dlas[cuda]' brings"


def arch() -> str:
    """The compute capability of the first GPU; "" where there is none, or no driver or runtime for it."""
    driver = _loaded(DRIVER)
    device = ctypes.c_int()
    if (
        driver is None
        or not load_runtime()
        or driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
    ):
        return ""
    major, minor = (_attribute(driver, attribute, device) for attribute in (MAJOR, MINOR))
    return f"sm_{major}{minor}"


def load_runtime() -> bool:
    """Load CUDA's runtime into this process, the system's or that of NVIDIA's package; returns whether it is
    there."""
    folder = pip_folder()
    return any(
        _loaded(name) is not None
        for name in (RUNTIME, *([str(folder / "lib" / RUNTIME)] if folder is not None else []))
    )


def pip_folder() -> Path | None:
    """Folder that NVIDIA's packages have unpacked CUDA into; None where none is installed."""
    try:
        spec = find_spec(PIP_FOLDER)
    except ModuleNotFoundError:
        return None
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) if places else None


def with_machine_code(source: str, code: bytes) -> str:
    """CUDA C++ that means what it did, with the machine code that a compiler made of it."""
    return f"{source}\n{MACHINE_CODE}{base64.b64encode(code).decode()}\n"


def machine_code(source: str) -> bytes:
    """Machine code that the CUDA C++ holds; RuntimeError where it holds none."""
    _, found, code = source.rpartition(MACHINE_CODE)
    if not found:
        raise RuntimeError("the library holds no machine code for a GPU")
    return base64.b64decode(code)


def _loaded(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def _attribute(driver: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value
