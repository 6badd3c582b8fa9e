"""The environment of a run, which stays while the machine runs: versions, CPU, memory, kernel."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from dlas.files.documents import Document
from dlas.hardware.targets import machine
from dlas.plugins.finding import distribution_version

EMULATOR = "DLAS_EMULATOR"
"""The environment variable in which an emulated board tells what emulates it."""

PACKAGES = (
    "dlas",
    "apache-tvm",
    "apache-tvm-ffi",
    "numpy",
    "onednn-cpu-gomp",
    "torch",
    "torch-pruning",
    "mlflow-skinny",
    "mlflow",
)

DOCUMENT = Document("environment")
"""Document of an environment in a bundle."""

PLAIN, MAX_PARTS = (str, int, float, bool), 100
"""Types of an environment's values, and its largest number of parts; each package counts."""

ASKED_LATER = ("usable_cores", "allowed_cores", "clock_source")
"""Parts of an environment that earlier versions did not ask for."""

PROCESS, ALLOWED = Path("/proc/self/status"), "Cpus_allowed_list:"


def of_this_machine() -> dict[str, Any]:
    """Environment of a run, which stays while the machine runs: versions, CPU, cores, memory, kernel,
    governor.

    None of the packages is imported. The CPU of an emulated board is its emulator.
    """
    return {
        "python": platform.python_version(),
        "packages": {
            name: version for name in PACKAGES if (version := distribution_version(name)) is not None
        },
        "machine": platform.machine(),
        "cpu": emulator() or _cpu_model(),
        "cores": psutil.cpu_count(),
        "usable_cores": machine.usable_cores(),
        "allowed_cores": _allowed_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
        "governor": machine.governor(),
        "clock_source": machine.clock_source(),
    }


def strange(found: Mapping[str, Any]) -> str:
    """Say why a value from somebody else's file is no environment; "" where it is one."""
    for name, value in found.items():
        inner = value if isinstance(value, Mapping) else {name: value}
        if len(inner) > MAX_PARTS or not all(one is None or type(one) in PLAIN for one in inner.values()):
            return f"its environment has {name} of another form"
    return f"its environment has {len(found)} parts" if len(found) > MAX_PARTS else ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Differences between two environments: dotted key to (old, new), None where one has no such key. What
    was not asked for when the older one was written is none."""
    unknown = {part: None for part in ASKED_LATER if part not in old}
    flat_old, flat_new = _flat(old), _flat({**new, **unknown})
    keys = sorted(flat_old.keys() | flat_new.keys())
    pairs = {key: (flat_old.get(key), flat_new.get(key)) for key in keys}
    return {key: (before, after) for key, (before, after) in pairs.items() if before != after}


def emulator() -> str | None:
    """Name of the emulator that runs this board; None on a real one."""
    return os.environ.get(EMULATOR) or None


def _allowed_cores() -> str | None:
    """The numbers of the logical CPUs that this process may run on, as Linux lists them: 0-3,8."""
    lines = (machine.told(PROCESS) or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(ALLOWED)), None)


def _cpu_model() -> str | None:
    lines = (machine.told(Path("/proc/cpuinfo")) or "").splitlines()
    fields = [line.partition(":") for line in lines]
    named = (value.strip() for name, _, value in fields if name.strip() in ("model name", "Model", "uarch"))
    return next(named, None) or platform.processor() or None


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
