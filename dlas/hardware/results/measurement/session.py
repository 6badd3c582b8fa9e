"""One session: a fresh process that loaded a library, ran it and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlas.hardware.results import footprints, statistics
from dlas.hardware.results.disturbance import Disturbance
from dlas.hardware.results.processor_counts import Counts
from dlas.hardware.sessions.observers.footprint import Footprint
from dlas.hardware.targets import steadiness

NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Session:
    """One fresh process that loaded the library, ran it and ended."""

    first_ns: int
    """Nanoseconds of the first run in the process."""
    samples_ns: tuple[int, ...]
    before: steadiness.State
    after: steadiness.State
    cold_ns: tuple[int, ...] = ()
    """Nanoseconds of runs that each found the caches full of something else."""
    joules: Mapping[str, float] = field(default_factory=dict)
    """Joules that each meter of the board counted during the samples; empty where it has none."""
    footprint: Footprint | None = None
    """Time to start, and memory; None where an earlier version timed."""
    disturbance: Disturbance | None = None
    """What disturbed the samples; None where it was not counted, as by earlier versions."""
    counts: Counts | None = None
    """What the processor counted; None of emulated boards, of GPUs, and where an earlier version timed."""

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ns) / NS_PER_MS

    @property
    def unsteadiness(self) -> tuple[steadiness.Unsteadiness, ...]:
        """The reasons to doubt this session."""
        return steadiness.unsteadiness(self.before, self.after)


def session(values: Mapping[str, Any]) -> Session:
    """A session from its JSON."""
    disturbed, counted = values.get("disturbance"), values.get("counts")
    return Session(
        first_ns=int(values["first_ns"]),
        samples_ns=tuple(int(sample) for sample in values["samples_ns"]),
        before=steadiness.State(**values["before"]),
        after=steadiness.State(**values["after"]),
        cold_ns=tuple(int(sample) for sample in values.get("cold_ns", ())),
        joules={meter: float(joules) for meter, joules in values.get("joules", {}).items()},
        footprint=footprints.read(values["footprint"]),
        disturbance=None if disturbed is None else Disturbance(**disturbed),
        counts=None
        if counted is None
        else Counts(**{**counted, "instructions": tuple(counted["instructions"])}),
    )
