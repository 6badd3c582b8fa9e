"""The machine that this process runs on: what code it can run, and which cores it may use.

A value that a machine doesn't offer is None, never a guess.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dlas import quota
from dlas.hardware.targets import gpu, instruction_sets
from dlas.hardware.targets.instruction_sets import architecture

SYSTEMS = MappingProxyType({"linux": "linux", "darwin": "macos", "macos": "macos", "macosx": "macos"})
"""Spellings of an operating system, in a triple or from Python."""

CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CPU_FOLDERS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Machine:
    """Architecture, system and extensions of a machine: all that decides which code it can run."""

    architecture: str
    system: str
    instruction_sets: tuple[str, ...]
    gpu: str = ""
    """The compute capability of its GPU, such as sm_87; "" where CUDA can use none, or none was asked for."""


def this_machine(kind: str = "cpu") -> Machine:
    """The machine that this process runs on; imports no TVM on Linux.

    Only for a target of the kind cuda its GPU is asked for, whose driver may take seconds to wake.
    """
    return Machine(
        architecture=architecture(platform.machine()),
        system=system(),
        instruction_sets=instruction_sets.of_this_machine(),
        gpu=gpu.arch() if kind == "cuda" else "",
    )


def system() -> str:
    """The operating system of this machine: linux, macos."""
    return SYSTEMS.get(platform.system().lower(), platform.system().lower())


def usable() -> tuple[int, ...]:
    """The numbers of the logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Number of threads that may compute at once: as many as this process has logical CPUs, or as its quota
    of their time is worth."""
    return min(len(usable()), quota.cores() or len(usable()))


def lacking(cores: Iterable[int]) -> list[int]:
    """Those of the numbers that no logical CPU of this machine has; none where the system lists no CPUs."""
    known = {folder.name for folder in CPU_FOLDERS.glob("cpu[0-9]*")}
    return [number for number in cores if known and f"cpu{number}" not in known]


def first_threads(cores: Iterable[int]) -> tuple[int, ...]:
    """First of each core's logical CPUs, among the given ones."""
    found: dict[str, int] = {}
    for number in sorted(cores):
        siblings = told(CPU_FOLDERS / f"cpu{number}" / "topology" / "thread_siblings_list")
        found.setdefault(siblings or str(number), number)
    return tuple(found.values())


def governor() -> str | None:
    """The frequency governor of the cores; several, comma-separated, where they differ."""
    found = {told(path) for path in CPU_FOLDERS.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ",".join(sorted(name for name in found if name)) or None


def clock_source() -> str | None:
    """The hardware that the kernel reads the time from, such as tsc."""
    return told(CLOCK_SOURCE)


def told(path: Path) -> str | None:
    """The text of a file of the kernel's; None where there is none, or it tells nothing."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
