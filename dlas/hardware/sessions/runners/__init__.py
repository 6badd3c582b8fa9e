"""What runs a library in a session: a module each, by the name of the compiler that wrote it.

named("onnxruntime").load(library, threads, "cpu") -> LoadedNetwork

The compiler itself is in `dlas/systems/compilers/<name>/`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dlas.interfaces.runner import Runner

TVM = "tvm"


def names() -> frozenset[str]:
    """The names of all runners: those of the modules beside this one, and none else."""
    here = Path(__file__)
    return frozenset(file.stem for file in here.parent.glob("*.py") if file != here)


def named(name: str) -> Runner:
    """The runner of that name; ValueError where there is none."""
    if name not in names():
        raise ValueError(f"there is no runner {name!r}")
    return cast("Runner", import_module(f"{__name__}.{name}"))
