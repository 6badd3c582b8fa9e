"""Records of a stack: its YAML, its settings by their keys, its identity."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from dlas.config.stack import Stack
from dlas.files import weights_file
from dlas.plugins import compilers

# What else decides the numbers of a point: a new version of any of these makes it another point.
TOOLS = ("dlas", "apache-tvm", "numpy", "pillow", "torch", "torch-pruning")


def to_yaml(stack: Stack) -> str:
    """The resolved stack as YAML; `parse(OmegaConf.create(text))` gives the same stack again."""
    return OmegaConf.to_yaml(OmegaConf.structured(stack))


def flat(stack: Stack) -> dict[str, str]:
    """Every setting by its full key (`tuner.trials`), and the steps of `compression`, as text."""
    steps = "+".join(stack.compression) or "none"
    return {**dict(_leaves(dataclasses.asdict(stack), "")), "compression": steps}


def identity(stack: Stack) -> str:
    """The sha256 (hex) of what decides a point: its settings and the tools' versions.

    Paths and addresses don't count, nor how long it may take, when it is made again and what is searched for.
    Given weights count by what is in the file.
    """
    settings = dataclasses.asdict(stack)
    for name in ("artifacts", "tracking", "timeout", "rerun", "objectives"):
        del settings[name]
    del settings["dataset"]["root"]
    settings["dataset"].pop("calibration_root", None)
    for address in ("reach", "rpc", "linker"):
        del settings["target"][address]
    settings["compression"] = list(settings["compression"].items())  # their order counts
    if stack.model.weights is not None:
        settings["model"]["weights"] = weights_file.digest(weights_file.find(stack.model.weights))
    versions = {tool: _version(tool) for tool in TOOLS}
    if stack.compiler.has_own_kernels:
        versions |= compilers.versions(stack.compiler.name)
    if stack.compiler.vendors:
        versions |= compilers.vendor_versions()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    canonical = json.dumps({"stack": settings, "versions": versions, "python": python}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _leaves(settings: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{path}{name}.")
        else:
            leaves.append((f"{path}{name}", "null" if value is None else str(value)))
    return leaves


@cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"
