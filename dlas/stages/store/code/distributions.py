"""Installed packages, which count by their versions."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from dlas.plugins.finding import is_ours
from dlas.stages.store.code.modules import spec_on


@cache
def _site_folders() -> tuple[Path, ...]:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return tuple(Path(folder).resolve() for folder in {*folders, *site.getsitepackages()})


def installed(module: str) -> Mapping[str, str]:
    """The distributions that an installed module belongs to, with their versions; none of code that is not
    installed, and of this package. A module that its package makes as it runs belongs to them too."""
    return {} if is_ours(module) else _distributions(module.partition(".")[0], tuple(sys.path))


@cache
def _distributions(top: str, searched: tuple[str, ...]) -> Mapping[str, str]:
    spec = spec_on(top, searched)
    if spec is None:
        return {}
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    found = [Path(str(place)).resolve() for place in places]
    if not any(place.is_relative_to(folder) for folder in _site_folders() for place in found):
        return {}
    return {each.name: each.version for each, record in _records() if _lists(record, top)}


@cache
def _records() -> tuple[tuple[Distribution, str], ...]:
    """Every installed distribution, with its list of files.

    `importlib.metadata.packages_distributions` tells the same, and takes half a second longer: to ask a
    distribution for its name is to have all its metadata parsed.
    """
    return tuple((each, each.read_text("RECORD") or "") for each in distributions())


def _lists(record: str, top: str) -> bool:
    """Whether a distribution's list of files has that top-level module."""
    return any(f"\n{top}{rest}" in f"\n{record}" for rest in ("/", "."))
