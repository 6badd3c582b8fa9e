"""Memory and start of a network over its sessions: what is kept of footprints, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dlas.hardware.results import statistics
from dlas.hardware.sessions.observers.footprint import Footprint, Memory

MAX_BYTES = 1 << 50
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class StartTimes:
    """Milliseconds from a process without a runtime to the first output."""

    runtime_ms: float
    """Time of importing the runtime."""
    load_ms: float
    """Time of loading the network."""
    first_ms: float
    """Time of the first run."""

    @property
    def whole_ms(self) -> float:
        return self.runtime_ms + self.load_ms + self.first_ms


def most(footprints: Iterable[Footprint]) -> Memory | None:
    """The memory of the session that held the most; None where none was told."""
    told = [one.memory for one in footprints if one.memory is not None]
    return max(told, key=lambda memory: memory.peak_bytes, default=None)


def start_times(footprints: Sequence[Footprint], first_ns: Sequence[int]) -> StartTimes | None:
    """Medians, over sessions, of each part of a start; None where none was told."""
    if not footprints:
        return None
    parts = ([one.runtime_ns for one in footprints], [one.load_ns for one in footprints], first_ns)
    return StartTimes(*(statistics.median(part) / NS_PER_MS for part in parts))


def read(values: Mapping[str, Any]) -> Footprint:
    """A footprint from the JSON of a session."""
    memory = values["memory"]
    return Footprint(values["runtime_ns"], values["load_ns"], None if memory is None else Memory(**memory))


def wrong(found: Footprint, longest_ns: int) -> str:
    """A value that no footprint has, as a text; "" where there is none."""
    if not all(0 <= took <= longest_ns for took in (found.runtime_ns, found.load_ns)):
        return f"a session took {found.runtime_ns} and {found.load_ns} ns to start"
    if found.memory is not None and any(abs(held) > MAX_BYTES for held in asdict(found.memory).values()):
        return "a session held more memory than any board has"
    return ""


def metrics(memory: Memory | None, start: StartTimes | None, size: str) -> dict[str, float]:
    """Memory in bytes and the parts of a start in milliseconds, as a run of the store names them; `size` is
    the suffix of the batch size."""
    held = {} if memory is None else {**asdict(memory), "peak_bytes": memory.peak_bytes}
    took = {} if start is None else {**asdict(start), "whole_ms": start.whole_ms}
    return {
        **{f"memory{size}.{name}": float(each) for name, each in held.items()},
        **{f"start{size}.{name}": each for name, each in took.items()},
    }
