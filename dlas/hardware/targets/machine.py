"""The board as it was found: versions and parts that stay, clock, temperature and load that don't.

A value that a machine doesn't offer is None, never a guess.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from dlas import quota
from dlas.files.documents import Document
from dlas.hardware.targets import gpu, instruction_sets
from dlas.hardware.targets.instruction_sets import architecture
from dlas.plugins.finding import distribution_version

EMULATOR = "DLAS_EMULATOR"
"""The environment variable in which an emulated board tells what emulates it."""

SYSTEMS = MappingProxyType({"linux": "linux", "darwin": "macos", "macos": "macos", "macosx": "macos"})
"""Spellings of an operating system, in a triple or from Python."""

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
ENVIRONMENT = Document("environment")
"""Document of an `environment` in a bundle."""

PLAIN, MAX_PARTS = (str, int, float, bool), 100
"""Types of an environment's values, and its largest number of parts; each package counts."""

ASKED_LATER = ("usable_cores", "allowed_cores", "clock_source")
"""Parts of an environment that earlier versions did not ask for."""

CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CPU_FOLDERS = Path("/sys/devices/system/cpu")
PROCESS, ALLOWED = Path("/proc/self/status"), "Cpus_allowed_list:"

BUSY_CORES = 0.1
"""Cores that others may use while a library is timed: a tenth of one moves a median by about a percent."""

FREQUENCY_DRIFT = 0.05
"""The change of clock that a latency would follow visibly."""

CLOCK_SECONDS = 0.5
"""Difference of two clocks that is no sleep: they are read one after the other."""

CLOCK_TICKS = 2
"""Ticks by which a difference of two kernel counters may be off, on each core."""


@dataclass(frozen=True)
class Machine:
    """Architecture, system and extensions of a machine: all that decides which code it can run."""

    architecture: str
    system: str
    instruction_sets: tuple[str, ...]
    gpu: str = ""
    """The compute capability of its GPU, such as sm_87; "" where CUDA can use none, or none was asked for."""


@dataclass(frozen=True)
class State:
    """State of a machine, which changes from minute to minute; `*_seconds` and `throttled` count up from an
    unknown start."""

    at: str
    """Time of the reading: UTC, ISO 8601."""
    uptime_seconds: float
    cores: int
    governor: str | None
    frequency_mhz: float | None
    temperature_c: float | None
    """Temperature of the hottest sensor."""
    load_average: float | None
    """Runnable processes, over the last minute."""
    busy_seconds: float
    """CPU time of everything on the machine."""
    stolen_seconds: float | None
    """CPU time that a hypervisor gave to others."""
    own_seconds: float
    """CPU time of this process."""
    throttled: int | None
    """Number of times that the cores were slowed down for their heat."""
    asleep_seconds: float | None = None
    """Time that the machine was suspended, which `uptime_seconds` leaves out."""
    clock_source: str | None = None
    """Hardware that the kernel reads the time from."""


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
        siblings = _text(CPU_FOLDERS / f"cpu{number}" / "topology" / "thread_siblings_list")
        found.setdefault(siblings or str(number), number)
    return tuple(found.values())


def state() -> State:
    """The state of this machine now."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(
        times, "guest_nice", 0.0
    )  # already counted in user and nice
    stolen = getattr(times, "steal", None)
    own = psutil.Process().cpu_times()
    return State(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        uptime_seconds=time.monotonic(),
        cores=psutil.cpu_count() or 1,
        governor=governor(),
        frequency_mhz=_frequency(),
        temperature_c=_temperature(),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        busy_seconds=sum(times) - idle - guest - (stolen or 0.0),
        stolen_seconds=stolen,
        own_seconds=own.user + own.system,
        throttled=_throttled(),
        asleep_seconds=_asleep_seconds(),
        clock_source=clock_source(),
    )


@dataclass(frozen=True)
class Unsteadiness:
    """A reason not to trust what was timed."""

    kind: str
    amount: float
    """Size of the disturbance: within a kind, the more the worse."""
    reason: str


def unsteadiness(before: State, after: State) -> tuple[Unsteadiness, ...]:
    """Reasons to doubt a timing between the two readings; none when the board held still."""
    elapsed = max(after.uptime_seconds - before.uptime_seconds, 1e-9)
    error = CLOCK_TICKS * after.cores / os.sysconf("SC_CLK_TCK")
    own = after.own_seconds - before.own_seconds
    others = (after.busy_seconds - before.busy_seconds - own - error) / elapsed
    found = []
    if others > BUSY_CORES:
        found.append(
            Unsteadiness("others", others, f"other processes used {others:.1f} of {after.cores} cores")
        )
    if before.stolen_seconds is not None and after.stolen_seconds is not None:
        stolen = (after.stolen_seconds - before.stolen_seconds - error) / elapsed
        if stolen > BUSY_CORES:
            reason = f"the hypervisor took {stolen:.1f} of {after.cores} cores away"
            found.append(Unsteadiness("stolen", stolen, reason))
    slept = (after.asleep_seconds or 0.0) - (before.asleep_seconds or 0.0)
    if slept > CLOCK_SECONDS:
        found.append(Unsteadiness("sleep", slept, f"the machine slept for {slept:.0f} s"))
    if before.clock_source != after.clock_source:
        reason = f"the kernel's clock source went from {before.clock_source} to {after.clock_source}"
        found.append(Unsteadiness("clock source", 0, reason))
    if before.throttled is not None and after.throttled is not None and after.throttled > before.throttled:
        times = after.throttled - before.throttled
        found.append(Unsteadiness("heat", times, "the cores were slowed down for their heat"))
    if before.governor not in (None, "performance"):
        found.append(Unsteadiness("governor", 0, f"the governor {before.governor} lets the clock change"))
    if before.frequency_mhz and after.frequency_mhz:
        drift = abs(after.frequency_mhz / before.frequency_mhz - 1)
        if drift > FREQUENCY_DRIFT:
            reason = f"the clock went from {before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz"
            found.append(Unsteadiness("clock", drift, reason))
    return tuple(found)


def told_unsteadiness(watched: Mapping[str, Any]) -> tuple[Unsteadiness, ...]:
    """Reasons to doubt what a session timed between the two states that it wrote as JSON."""
    return unsteadiness(State(**watched["before"]), State(**watched["after"]))


def worst(found: Iterable[Unsteadiness]) -> tuple[str, ...]:
    """The reason of the worst of each kind, in the order in which the kinds were met."""
    of_kind: dict[str, Unsteadiness] = {}
    for one in found:
        if one.kind not in of_kind or one.amount > of_kind[one.kind].amount:
            of_kind[one.kind] = one
    return tuple(one.reason for one in of_kind.values())


def environment() -> dict[str, Any]:
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
        "usable_cores": usable_cores(),
        "allowed_cores": _allowed_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
        "governor": governor(),
        "clock_source": clock_source(),
    }


def strange(found: Mapping[str, Any]) -> str:
    """Say why a value from somebody else's file is no `environment`; "" where it is one."""
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


def governor() -> str | None:
    """The frequency governor of the cores; several, comma-separated, where they differ."""
    found = {_text(path) for path in CPU_FOLDERS.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ",".join(sorted(name for name in found if name)) or None


def clock_source() -> str | None:
    """The hardware that the kernel reads the time from, such as tsc."""
    return _text(CLOCK_SOURCE)


def _allowed_cores() -> str | None:
    """The numbers of the logical CPUs that this process may run on, as Linux lists them: 0-3,8."""
    lines = (_text(PROCESS) or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(ALLOWED)), None)


def _asleep_seconds() -> float | None:
    """Time that the machine was suspended since it started: one clock counts it, the other does not."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _frequency() -> float | None:
    """Clock in MHz, the mean over the cores."""
    try:
        frequency = psutil.cpu_freq()
    except (OSError, AttributeError, NotImplementedError):
        return None
    return float(frequency.current) if frequency is not None and frequency.current else None


def _temperature() -> float | None:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    readings = [
        entry.current for entries in sensors.values() for entry in entries if entry.current is not None
    ]
    return max(readings, default=None)


def _throttled() -> int | None:
    counts = [_text(path) for path in CPU_FOLDERS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return sum(int(count) for count in counts if count) if counts else None


def _cpu_model() -> str | None:
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    fields = [line.partition(":") for line in lines]
    named = (value.strip() for name, _, value in fields if name.strip() in ("model name", "Model", "uarch"))
    return next(named, None) or platform.processor() or None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
