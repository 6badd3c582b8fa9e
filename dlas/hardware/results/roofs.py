"""The roofs of a machine: its measured peak of arithmetic and bandwidth of memory, and their file.

Under them lies what a kernel can reach: operations a second are at most the peak, and at most the bandwidth
times the kernel's operations per byte of memory (Williams, Waterman and Patterson 2009, the roofline model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlas.files import documents
from dlas.files.documents import Document
from dlas.hardware.targets import machine

ROOFS = Document("measurement of a machine's roofs")

FLOAT32, INT8 = "float32", "int8"


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
    def bandwidth(self) -> float:
        """GB/s (1e9 bytes) of the faster stream."""
        return max(self.read.best, self.triad.best)

    def peak(self, data_type: str) -> float | None:
        """Peak of kernels that compute in the data type, in 1e9 operations a second: GFLOP/s, of int8 GOP/s.

        float16 is summed in float32. None where the machine's peak was not measured for it.
        """
        if data_type == INT8:
            return None if self.int8 is None else self.int8.best
        return self.float32.best

    def roof(self, data_type: str, intensity: float) -> float | None:
        """Most operations a second (1e9) of a kernel with so many operations per byte: the lower of both.

        The bandwidth of memory is no bound for a kernel whose data stays in the caches.
        """
        peak = self.peak(data_type)
        return None if peak is None else min(peak, intensity * self.bandwidth)


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
        unsteady=machine.worst(machine.told_unsteadiness(found)),
    )


def metrics(found: Roofs) -> dict[str, float]:
    """Metrics of a run: peaks in 1e9 operations a second, bandwidths in 1e9 bytes a second."""
    integer = {} if found.int8 is None else {"roof.int8_gops": found.int8.best}
    return {
        "roof.float32_gflops": found.float32.best,
        **integer,
        "roof.read_gb_per_s": found.read.best,
        "roof.triad_gb_per_s": found.triad.best,
    }


def write(found: Roofs, path: Path) -> None:
    """Write the document."""
    documents.write(ROOFS, path, asdict(found))


def read(path: Path) -> Roofs:
    """The roofs that `write` wrote; UserError for anything else."""
    return documents.checked(Roofs, documents.read(ROOFS, path), ROOFS, str(path))
