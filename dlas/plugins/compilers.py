"""The packages and programs that a compiler of whole networks takes, as they are installed. No package is
imported, and no program called."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cache

from dlas.errors import require
from dlas.interfaces.compiler import RunsOn
from dlas.plugins.finding import distribution_version, module_exists, package_version
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
    missing = [name for name in VENDORS if distribution_version(name) is None]
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
    problem = f"what {compiler} writes is for {RunsOn.HERE.value}, and the target is a board elsewhere"
    fits = here or NETWORK_COMPILERS.load(compiler).RUNS_ON is not RunsOn.HERE
    require(fits, key, problem, "target=host, or another compiler")


@cache
def versions(compiler: str) -> Mapping[str, str]:
    """The versions of its distributions; "none" of one that is not installed."""
    packages = NETWORK_COMPILERS.load(compiler).PACKAGES.items()
    return {name: package_version(module, name) or MISSING for module, name in packages}


def vendor_versions() -> Mapping[str, str]:
    """The versions of the vendors' libraries; "none" of one that is not installed."""
    return {name: distribution_version(name) or MISSING for name in VENDORS}
