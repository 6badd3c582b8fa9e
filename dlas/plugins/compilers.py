"""The packages and programs that a compiler of whole networks takes, as they are installed. No package is
imported, and no program called."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from functools import cache

from dlas.errors import require
from dlas.plugins.finding import module_exists
from dlas.plugins.registry import NETWORK_COMPILERS

MISSING = "none"
"""What stands for the version of a distribution that is not installed."""

VENDORS = ("onednn-cpu-gomp",)
"""Distributions of vendors' libraries."""


def require_installed(compiler: str, key: str) -> None:
    """UserError (`key`) that names the packages which are missing, and the command that installs them."""
    missing = [name for name in NETWORK_COMPILERS.load(compiler).PACKAGES if not module_exists(name)]
    problem = f"{compiler} takes {' and '.join(missing)}, not installed here"
    require(not missing, key, problem, f"pip install 'dlas[{compiler}]'")


def require_vendors(compiler: str, key: str) -> None:
    """UserError (`key`) unless the vendors' libraries that the compiler's kernels call are installed, with
    the command that installs them."""
    missing = [name for name in VENDORS if _version(name) == MISSING]
    problem = f"{compiler} takes {' and '.join(missing)}, not installed here"
    require(not missing, key, problem, f"pip install 'dlas[{compiler}]'")


def require_programs(compiler: str, key: str) -> None:
    """UserError (`key`) that names the programs of the system which the compiler calls and which are missing.
    What it wrote runs without them."""
    missing = [name for name in NETWORK_COMPILERS.load(compiler).PROGRAMS if shutil.which(name) is None]
    problem = f"{compiler} calls {' and '.join(missing)}, which no folder of PATH has"
    require(not missing, key, problem, f"the system's package with {' and '.join(missing)}")


def require_for(compiler: str, key: str, *, here: bool) -> None:
    """UserError (`key`) where a board elsewhere is to run what the compiler writes for this machine alone."""
    problem = f"what {compiler} writes is for the CPU of this machine, and the target is a board elsewhere"
    fits = here or NETWORK_COMPILERS.load(compiler).FOR_BOARDS
    require(fits, key, problem, "target=host, or another compiler")


@cache
def versions(compiler: str) -> Mapping[str, str]:
    """The versions of its distributions; "none" of one that is not installed."""
    return {name: _version(name) for name in NETWORK_COMPILERS.load(compiler).PACKAGES.values()}


def vendor_versions() -> Mapping[str, str]:
    """The versions of the vendors' libraries; "none" of one that is not installed."""
    return {name: _version(name) for name in VENDORS}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return MISSING
