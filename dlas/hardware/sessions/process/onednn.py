"""Where a session finds oneDNN, which libraries of `compiler=mixed` call: in the package that brings it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, files

DISTRIBUTION, LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"

PATH = "DLAS_ONEDNN"
"""Environment variable with the path of the shared library, as the code that calls it reads it
(dlas.algorithms.onednn.shim)."""


@cache
def environment() -> Mapping[str, str]:
    """The variable for a session's process; nothing where the package is not installed."""
    try:
        found = next((file for file in files(DISTRIBUTION) or () if file.name == LIBRARY), None)
    except PackageNotFoundError:
        found = None
    return {} if found is None else {PATH: os.path.realpath(found.locate())}
