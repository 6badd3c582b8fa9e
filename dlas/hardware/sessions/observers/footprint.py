"""What a network costs the process of its session before and beside its runs: time to load, memory to hold.

    Start(mark(), mark(), mark())     before the runtime is imported, when it is, when the network is loaded
    Start.footprint(ran, peak)        with resident_bytes() after the first run, peak_bytes() after the last

Memory is what the kernel counts as resident for this process (proc(5), status: VmRSS, VmHWM), pages of files
that are mapped among it. What was there before the runtime is the base: Python, NumPy, this package and the
images of one run. It is told, and is part of no other number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
KIB = 1024


@dataclass(frozen=True)
class Mark:
    """A moment of the process."""

    at_ns: int
    """Reading of a clock that counts nanoseconds from an unknown start."""
    resident_bytes: int | None
    """Resident memory; None on a system that does not tell."""


@dataclass(frozen=True)
class Memory:
    """Resident memory of a session's process, in bytes."""

    base_bytes: int
    """Memory of the process before the runtime was imported."""
    runtime_bytes: int
    """Bytes that importing the runtime added."""
    loaded_bytes: int
    """Bytes that loading the network added: its weights and code, as far as loading touches them."""
    first_run_bytes: int
    """Bytes that the first run added: its workspace, and what is read of the files only then."""
    process_peak_bytes: int
    """The most that the whole process held, until the last run with warm caches."""

    @property
    def peak_bytes(self) -> int:
        """The most that the process held beyond its base."""
        return max(self.process_peak_bytes - self.base_bytes, 0)


@dataclass(frozen=True)
class Footprint:
    """The cost of a network to its session."""

    runtime_ns: int
    """Nanoseconds of importing the runtime."""
    load_ns: int
    """Nanoseconds of loading the network, from its files to where it can run."""
    memory: Memory | None
    """None on a board that does not tell of memory."""


@dataclass(frozen=True)
class Start:
    """The moments of a process until a network can run."""

    before: Mark
    """The moment before the runtime was imported."""
    runtime: Mark
    loaded: Mark

    def footprint(self, ran: int | None, peak: int | None) -> Footprint:
        """The footprint, by the resident bytes after the first run, and by the largest number of them."""
        marks = (self.before, self.runtime, self.loaded)
        before, runtime, loaded = (mark.at_ns for mark in marks)
        held = [*(mark.resident_bytes for mark in marks), ran, peak]
        return Footprint(runtime - before, loaded - runtime, _memory(held))


def mark() -> Mark:
    """The present moment. Memory is read first, so that reading it counts for what comes before."""
    resident = resident_bytes()
    return Mark(time.perf_counter_ns(), resident)


def resident_bytes() -> int | None:
    """Resident memory of this process now; None on a system that does not tell."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """The most resident memory that this process ever had; None on a system that does not tell."""
    return _status("VmHWM")


def _memory(held: Sequence[int | None]) -> Memory | None:
    known = [each for each in held if each is not None]
    if len(known) < len(held):
        return None
    base, runtime, loaded, ran, peak = known
    return Memory(base, runtime - base, loaded - runtime, ran - loaded, peak)


def _status(name: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * KIB if found else None
