"""The input and the output of a tuner: tasks, what was measured of them, and their schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

DENSE = 100

DENSITIES_PER_OCTAVE = 2
"""Steps from a density to half of it: the fastest schedule at one step is not far from the
fastest at the next."""


@dataclass(frozen=True)
class TuningTask:
    """One workload by one algorithm, and how many layers of the model share it."""

    workload: ConvWorkload
    algorithm: str
    """Name in dlas.plugins.registry.ALGORITHMS, or a dotted path."""
    count: int = 1
    density: int = DENSE
    """Percent of the weights that a sparse format stores, in the steps of `rounded_density`: the time of such
    a kernel is that of the weights that are left."""

    @property
    def key(self) -> str:
        """A stable text that names the task, whatever its count."""
        density = "" if self.density == DENSE else f"_density{self.density}"
        return f"{self.algorithm}:{self.workload.key}{density}"

    @staticmethod
    def from_key(key: str) -> TuningTask:
        """The task with that key, for one layer."""
        algorithm, _, described = key.partition(":")
        workload, _, density = described.partition("_density")
        return TuningTask(ConvWorkload.from_key(workload), algorithm, density=int(density or DENSE))


def rounded_density(fraction: float) -> int:
    """Percent for a fraction of the weights, in steps: 100, 71, 50, 35, 25, 18, …, 1."""
    if fraction == 0:
        return 1
    steps = round(math.log2(fraction) * DENSITIES_PER_OCTAVE)
    return max(1, round(DENSE * 2 ** (steps / DENSITIES_PER_OCTAVE)))


@dataclass(frozen=True)
class Record:
    """A line of a tuning log: a candidate that was measured."""

    task: str
    """Key of the task."""
    seconds: float | None
    """Seconds that the candidate took; None where it did not build, ran too long or crashed."""
    candidate: str = ""
    """Name of the candidate where it may be measured again: the last time counts, and is no further trial."""


@dataclass(frozen=True)
class LayerTuning:
    """The course of a search for one task. Times are of one call, as the tuner measured it."""

    task: str
    """Key of the task."""
    count: int
    trials: int
    first_ms: float | None = None
    """Milliseconds of the first candidate that ran; None where none did."""
    best_ms: float | None = None


@dataclass(frozen=True)
class Tuning:
    """The course of a search."""

    trials: int = 0
    """Number of candidates measured for these tasks, with those of earlier searches."""
    failed: int = 0
    """Number of these candidates that did not build, ran too long or crashed."""
    seconds: float = 0.0
    """Seconds that this search took, without earlier ones."""
    best: Mapping[str, float] = field(default_factory=dict)
    """Task key -> seconds of its fastest candidate, as the tuner measured it."""
    layers: tuple[LayerTuning, ...] = ()
    stopped: str = ""
    """Why the search ended before its budget did; "" where it did not."""


@dataclass(frozen=True)
class Schedules:
    """The best schedule of each task that has one, and why the others have none."""

    found: Mapping[str, PrimFunc] = field(default_factory=dict)
    """Task key -> PrimFunc; its arguments are those of the algorithm's `compute`."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Task key -> the reason, for a person to read."""
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Task key -> why faster schedules than the one found could not be used."""
