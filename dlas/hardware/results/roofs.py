"""The roofs of a machine: its measured peak of arithmetic and bandwidth of memory, and their file.

Under them lies what a kernel can reach: operations a second are at most the peak, and at most the bandwidth
times the kernel's operations per byte of memory (Williams, Waterman and Patterson 2009, the roofline model).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlas.files import documents
from dlas.files.documents import Document
from dlas.hardware.targets import steadiness

ROOFS = Document("measurement of a machine's roofs")

FLOAT32, INT8 = "float32", "int8"

METRICS = ("roof.float32_gflops", "roof.int8_gops", "roof.read_gb_per_s", "roof.triad_gb_per_s")
FLOAT32_METRIC, INT8_METRIC, READ, TRIAD = METRICS
"""Metrics of a run."""


@dataclass(frozen=True)
class Rate:
    """Work that was done again and again, and how long each time took."""

    work: int
    """Operations, or bytes, of one run."""
    samples_ns: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.work < 1 or not self.samples_ns or min(self.samples_ns) < 1:
            raise ValueError("it has no work, or no time")

    @property
    def best(self) -> float:
        """Work per nanosecond of the fastest run: 1e9 operations, or bytes, a second."""
        return self.work / min(self.samples_ns)


@dataclass(frozen=True)
class Bounds:
    """What a machine has at most, in 1e9 operations and 1e9 bytes a second."""

    float32: float
    int8: float | None
    """None where the machine has no instruction for dot products of int8."""
    bandwidth: float

    def peak(self, data_type: str) -> float | None:
        """Most operations a second of kernels that compute in the data type; float16 is summed in float32.
        None where there is no measurement for it."""
        return self.int8 if data_type == INT8 else self.float32

    def roof(self, data_type: str, intensity: float) -> float | None:
        """Most operations a second of a kernel with so many operations per byte: the lower of both.

        The bandwidth of memory is no bound for a kernel whose data stays in the caches.
        """
        peak = self.peak(data_type)
        return None if peak is None else min(peak, intensity * self.bandwidth)


@dataclass(frozen=True)
class Roofs:
    """What the board of a target has at most, by as many threads as the target has cores."""

    cpu: str
    threads: int
    float32: Rate
    """Multiply-adds of float32 in registers, of two operations each."""
    int8: Rate | None
    """Dot products of int8 in registers; None where the target has no instruction for them."""
    read: Rate
    """Bytes of one large array that were read."""
    triad: Rate
    """Bytes of two large arrays that were read, and of a third that was written, as STREAM counts them."""
    array_bytes: int
    """Bytes of each of these arrays."""
    unsteady: tuple[str, ...] = ()
    """Reasons to doubt the numbers, which may be too low; none where the board held still."""

    @property
    def bounds(self) -> Bounds:
        """The best rates, of the streams the faster one's."""
        integer = None if self.int8 is None else self.int8.best
        return Bounds(self.float32.best, integer, max(self.read.best, self.triad.best))


def of_session(found: Mapping[str, Any]) -> Roofs:
    """The roofs that a session measured: what `dlas.hardware.sessions.roofs` gives, between two states."""
    measured = found["found"]
    rates = {name: Rate(rate["work"], tuple(rate["samples_ns"])) for name, rate in measured["rates"].items()}
    return Roofs(
        cpu=found["cpu"] or "",
        threads=measured["threads"],
        float32=rates[FLOAT32],
        int8=rates.get(INT8),
        read=rates["read"],
        triad=rates["triad"],
        array_bytes=measured["array_bytes"],
        unsteady=steadiness.worst(steadiness.told_unsteadiness(found)),
    )


def metrics(found: Roofs) -> dict[str, float]:
    """Metrics of a run: peaks in 1e9 operations a second, bandwidths in 1e9 bytes a second."""
    integer = {} if found.int8 is None else {INT8_METRIC: found.int8.best}
    return {FLOAT32_METRIC: found.float32.best, **integer, READ: found.read.best, TRIAD: found.triad.best}


def of_metrics(told: Mapping[str, float]) -> Bounds | None:
    """What the metrics of a run tell; None where they don't, or are no finite positive numbers."""
    known = {name: told[name] for name in METRICS if name in told}
    if not known.keys() >= {FLOAT32_METRIC, READ, TRIAD}:
        return None
    if not all(math.isfinite(value) and value > 0 for value in known.values()):
        return None
    return Bounds(known[FLOAT32_METRIC], known.get(INT8_METRIC), max(known[READ], known[TRIAD]))


def write(found: Roofs, path: Path) -> None:
    """Write the document."""
    documents.write(ROOFS, path, asdict(found))


def read(path: Path) -> Roofs:
    """The roofs that `write` wrote; UserError for anything else."""
    return documents.checked(Roofs, documents.read(ROOFS, path), ROOFS, str(path))
