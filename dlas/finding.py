"""Whether a dotted path names a module, without importing anything on the way to it."""

from __future__ import annotations

from importlib.machinery import PathFinder
from importlib.util import find_spec

from dlas.errors import require


def module_exists(dotted: str) -> bool:
    """True where `import dotted` would find a file or a package.

    `importlib.util.find_spec("a.b")` imports `a`; where that imports torch, a config check would be slow.
    """
    top, *inner = dotted.split(".")
    try:
        spec = find_spec(top) if top else None
        for position in range(len(inner)):
            if spec is None or spec.submodule_search_locations is None:
                return False
            name = ".".join([top, *inner[: position + 1]])
            spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    except (ImportError, ValueError):
        return False
    return spec is not None


def require_module(key: str, module: str) -> None:
    """Raises `UserError` (`key`) unless there is such a module."""
    found = bool(module) and module_exists(module)
    remedy = "a dotted path that Python can import; PYTHONPATH=<folder> adds modules of your own"
    require(found, key, f"there is no module '{module}'", remedy)
