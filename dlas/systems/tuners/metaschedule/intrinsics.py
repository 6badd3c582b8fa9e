"""The tensor intrinsics that MetaSchedule needs, without those of GPUs, which take it a minute to parse.

MetaSchedule imports the package `tvm.s_tir.tensor_intrin`, and that imports the intrinsics of every target. A
package of the same name with nothing in it is put in its place; its modules are imported one by one.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType

import tvm.s_tir

PACKAGE = "tvm.s_tir.tensor_intrin"
MODULES = MappingProxyType({"x86_64": "x86", "aarch64": "arm_cpu"})


def register(architecture: str) -> None:
    """Register the intrinsics of an architecture; to be called before anything of MetaSchedule is used."""
    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = [str(Path(tvm.s_tir.__file__).parent / "tensor_intrin")]
        sys.modules[PACKAGE] = package
        tvm.s_tir.tensor_intrin = package
    if architecture in MODULES:
        import_module(f"{PACKAGE}.{MODULES[architecture]}")
