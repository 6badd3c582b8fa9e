"""Keeps torch out of processes that import TVM, whose foreign function interface imports it wherever it is
installed: three quarters of the time that such a process takes to start.

This folder comes first on the path of those processes, and its `torch` is one that can't be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import dlas
from dlas.current_folder import PATH, python_path


def without_torch(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that is started to work without torch."""
    return {**environment, PATH: python_path(str(Path(__file__).parent), after=environment.get(PATH))}


def with_modules_of_this_process(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without torch, for a process that finds the other modules that this one finds,
    whatever its folder."""
    packages = str(Path(dlas.__file__).resolve().parents[1])
    searched = python_path(packages, *filter(None, sys.path), after=None)
    return without_torch({**environment, PATH: searched, "PYTHONSAFEPATH": "1"})
