"""Find the module of a dotted path without importing anything on the way to it."""

from __future__ import annotations

from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

PACKAGE = "dlas"


def is_ours(dotted: str) -> bool:
    """Whether the path names this package, or something in it."""
    return dotted.partition(".")[0] == PACKAGE


def module_exists(dotted: str) -> bool:
    """True where `import dotted` would find a file or a package."""
    return module_spec(dotted) is not None


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
