"""Whether a machine held still while something was timed: its state before and after.

A value that a machine doesn't offer is None, never a guess.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil

from dlas.hardware.targets import machine

BUSY_CORES = 0.1
"""Cores that others may use while a library is timed: a tenth of one moves a median by about a percent."""

FREQUENCY_DRIFT = 0.05
"""The change of clock that a latency would follow visibly."""

CLOCK_SECONDS = 0.5
"""Difference of two clocks that is no sleep: they are read one after the other."""

CLOCK_TICKS = 2
"""Ticks by which a difference of two kernel counters may be off, on each core."""


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


def state() -> State:
    """The state of this machine now."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice
    stolen = getattr(times, "steal", None)
    own = psutil.Process().cpu_times()
    return State(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        uptime_seconds=time.monotonic(),
        cores=psutil.cpu_count() or 1,
        governor=machine.governor(),
        frequency_mhz=_frequency(),
        temperature_c=_temperature(),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        busy_seconds=sum(times) - idle - guest - (stolen or 0.0),
        stolen_seconds=stolen,
        own_seconds=own.user + own.system,
        throttled=_throttled(),
        asleep_seconds=_asleep_seconds(),
        clock_source=machine.clock_source(),
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
    checks = (_others, _stolen, _asleep, _clock_source, _heat, _governor, _clock)
    return tuple(found for check in checks if (found := check(before, after)) is not None)


def _cores_over(seconds: float, before: State, after: State) -> float:
    """Cores that were used for so many seconds of CPU time between the readings, at the least. No more than
    there are, which counters that the kernel brings up to date late would tell of a short time."""
    error = CLOCK_TICKS * after.cores / os.sysconf("SC_CLK_TCK")
    elapsed = max(after.uptime_seconds - before.uptime_seconds, 1e-9)
    return min((seconds - error) / elapsed, after.cores)


def _others(before: State, after: State) -> Unsteadiness | None:
    own = after.own_seconds - before.own_seconds
    others = _cores_over(after.busy_seconds - before.busy_seconds - own, before, after)
    if others <= BUSY_CORES:
        return None
    return Unsteadiness("others", others, f"other processes used {others:.1f} of {after.cores} cores")


def _stolen(before: State, after: State) -> Unsteadiness | None:
    if before.stolen_seconds is None or after.stolen_seconds is None:
        return None
    stolen = _cores_over(after.stolen_seconds - before.stolen_seconds, before, after)
    if stolen <= BUSY_CORES:
        return None
    return Unsteadiness("stolen", stolen, f"the hypervisor took {stolen:.1f} of {after.cores} cores away")


def _asleep(before: State, after: State) -> Unsteadiness | None:
    slept = (after.asleep_seconds or 0.0) - (before.asleep_seconds or 0.0)
    if slept <= CLOCK_SECONDS:
        return None
    return Unsteadiness("sleep", slept, f"the machine slept for {slept:.0f} s")


def _clock_source(before: State, after: State) -> Unsteadiness | None:
    if before.clock_source == after.clock_source:
        return None
    reason = f"the kernel's clock source went from {before.clock_source} to {after.clock_source}"
    return Unsteadiness("clock source", 0, reason)


def _heat(before: State, after: State) -> Unsteadiness | None:
    if before.throttled is None or after.throttled is None or after.throttled <= before.throttled:
        return None
    times = after.throttled - before.throttled
    return Unsteadiness("heat", times, "the cores were slowed down for their heat")


def _governor(before: State, after: State) -> Unsteadiness | None:
    if before.governor in (None, "performance"):
        return None
    return Unsteadiness("governor", 0, f"the governor {before.governor} lets the clock change")


def _clock(before: State, after: State) -> Unsteadiness | None:
    if not before.frequency_mhz or not after.frequency_mhz:
        return None
    drift = abs(after.frequency_mhz / before.frequency_mhz - 1)
    if drift <= FREQUENCY_DRIFT:
        return None
    reason = f"the clock went from {before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz"
    return Unsteadiness("clock", drift, reason)


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
    counts = [
        machine.told(path)
        for path in machine.CPU_FOLDERS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    ]
    return sum(int(count) for count in counts if count) if counts else None
