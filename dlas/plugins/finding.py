"""Find modules and versions without importing anything on the way to them."""

from __future__ import annotations

import importlib.metadata
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

PACKAGE = "dlas"


def is_ours(dotted: str) -> bool:
    """Whether the path names this package, or something in it."""
    return dotted.partition(".")[0] == PACKAGE


def module_exists(dotted: str) -> bool:
    """True where `import dotted` would find a file or a package."""
    return module_spec(dotted) is not None


def package_version(module: str, distribution: str) -> str | None:
    """The installed version of a package; None where it is not installed.

    A GPU build may bring the same module as a distribution of another name, onnxruntime-gpu say: its version
    is that of the module.
    """
    if (found := distribution_version(distribution)) is not None or not module_exists(module):
        return found
    others = importlib.metadata.packages_distributions().get(module.partition(".")[0], ())
    return next(filter(None, map(distribution_version, others)), None)


def distribution_version(name: str) -> str | None:
    """The installed version of the distribution of that name; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def public(version: str) -> str:
    """The version as every registry has it, without the name of a build: 2.13.0 of 2.13.0+cpu."""
    return version.partition("+")[0]


def module_spec(dotted: str) -> ModuleSpec | None:
    """Spec of the module that `import dotted` would find; None where there is none.

    `importlib.util.find_spec("a.b")` imports `a`; where that imports torch, a config check would be slow.
    """
    around, _, name = dotted.rpartition(".")
    try:
        if not around:
            return find_spec(name) if name else None
        package = module_spec(around)
        if package is None or package.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(dotted, package.submodule_search_locations)
    except (ImportError, ValueError, KeyError):  # KeyError: within a package without an __init__.py
        return None
