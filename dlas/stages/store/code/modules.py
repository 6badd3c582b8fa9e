"""Modules by their dotted names: where they lie. None is imported."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from dlas.plugins.finding import module_spec


def packages_around(module: str) -> list[str]:
    """The packages around the module, outermost first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def is_standard(module: str) -> bool:
    """Whether the module is of the standard library, and not a user's own of the same name."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and _lies_in_standard_library(top, tuple(sys.path))


@cache
def _lies_in_standard_library(top: str, searched: tuple[str, ...]) -> bool:
    spec = spec_on(top, searched)
    path = file_of(spec) if spec is not None else None
    return path is None or path.is_relative_to(sysconfig.get_path("stdlib"))


def is_module(module: str) -> bool:
    """Whether Python would find the module."""
    return located(module) is not None


def located(module: str) -> ModuleSpec | None:
    """The module's spec; None where Python would find none."""
    return spec_on(module, tuple(sys.path))


@cache
def spec_on(module: str, searched: tuple[str, ...]) -> ModuleSpec | None:
    """The module's spec, kept; `searched` is what sys.path is now."""
    return module_spec(module)


def file_of(spec: ModuleSpec) -> Path | None:
    """The module's file; None where it has none, as a package without an `__init__`."""
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None
