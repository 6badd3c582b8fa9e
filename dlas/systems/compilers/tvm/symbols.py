"""Symbols of libraries, which TVM reads at its first error to name functions in the trace of it."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path


def read_before_torch() -> None:
    """Have TVM read the symbols as long as they are few: before PyTorch is imported.

    It reads those of all libraries that are loaded, once. Importing TVM raises two errors, which its own code
    catches: where PyTorch is there by then, its half a million symbols are most of what that import takes. No
    trace needs them: it names TVM's own functions.
    """
    found = find_spec("tvm_ffi")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("no module named 'tvm_ffi'", name="tvm_ffi")
    library = ctypes.CDLL(str(Path(found.origin).parent / "lib" / "libtvm_ffi.so"), ctypes.RTLD_GLOBAL)
    trace = library.TVMFFIBacktrace  # tvm_ffi/include/tvm/ffi/c_api.h
    trace.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    trace.restype = ctypes.c_void_p
    trace(None, 0, None, 0)
