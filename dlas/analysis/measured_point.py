"""One measured point, as the analysis sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dlas.analysis.statistics.noise import NO_DRIFT, Drift
from dlas.hardware.results.roofs import Bounds
from dlas.hardware.results.statistics import geometric_mean

if TYPE_CHECKING:
    from dlas.analysis.statistics.contrast import Estimate

FINISHED = "FINISHED"
LAYERS = ("dataset", "model", "compression", "algo", "format", "compiler", "tuner", "target")
"""Choices that every point has, from the first layer of the stack to the last."""

NO_COMPRESSION = "none"
STEP = "+"
"""What stands between the steps of a compression: `weight_pruning+int8`."""


@dataclass(frozen=True)
class Pace:
    """The machine's pace while a point was timed, beside the pace to which it and other points were
    brought."""

    yardsticks: tuple[str, ...]
    """Those whose mean tells it; none where they follow the points so badly that these stay as they were
    measured."""
    beside: tuple[float, ...]
    """Of each session of the point, what the yardsticks took beside it over what they typically take: above 1
    the machine was slower than usual."""
    moved: float
    """The slowest pace of all these points over the fastest."""
    drift: Drift
    """What the yardsticks leave open."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint:
    """What was chosen for a point, and what was found of it. None stands for what its run lacks."""

    run_id: str
    name: str
    status: str
    """FINISHED, FAILED, KILLED or RUNNING."""
    choices: Mapping[str, str]
    """The choice of each of `LAYERS` by its name (`algo`: `gemm`), and each further setting that differs
    between the points by its full key (`tuner.trials`). Several compressions are joined by `STEP`; that of a
    dense network is `NO_COMPRESSION`."""
    error: str = ""
    """Why it failed, in one line."""
    session_medians_ms: tuple[float, ...] = ()
    """Median latency of each session in milliseconds, as it was measured; empty where only the median of all
    samples is known."""
    yardstick_ratios: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Each of these over what a yardstick took beside it, by the name of the yardstick; none where none was
    timed, or an earlier version did not tell."""
    pace: Pace | None = None
    """The pace that the point was brought to; None where its latency is as it was measured."""
    median_ms: float | None = None
    """Milliseconds of a run: the geometric mean of the sessions' medians. In runs of earlier versions, the
    median over the samples of all sessions."""
    low_ms: float | None = None
    high_ms: float | None = None
    """The bootstrap interval of `median_ms` over samples."""
    first_ms: float | None = None
    """Milliseconds of the first run of the first session."""
    cold_ms: float | None = None
    """Median with cold caches, in milliseconds."""
    accuracy_dense: float | None = None
    """Fractions of 1, on the test images: of the dense network, of the compressed one, of the library."""
    accuracy_compressed: float | None = None
    accuracy_deployed: float | None = None
    parameters_dense: float | None = None
    parameters_remaining: float | None = None
    """Parameters that were not removed with their channel and are not zero."""
    macs_dense: float | None = None
    """Multiply-accumulates per image."""
    macs_remaining: float | None = None
    """Those that were not removed with their channel and whose weight is not zero."""
    dense_bytes: float | None = None
    """Bytes of the dense network's parameters in float32."""
    format_bytes: float | None = None
    """Bytes of the weights as the kernels read them, indices included."""
    library_bytes: float | None = None
    memory_bytes: float | None = None
    """The most memory that a session held beyond what it had before the runtime was imported, in bytes."""
    runtime_memory_bytes: float | None = None
    """Parts of that memory: added by importing the runtime, by loading the network, by the first run."""
    loaded_memory_bytes: float | None = None
    first_run_memory_bytes: float | None = None
    runtime_ms: float | None = None
    """Milliseconds of importing the runtime."""
    load_ms: float | None = None
    """Milliseconds of loading the network."""
    start_ms: float | None = None
    """Milliseconds of both and of the first run."""
    expected_speedup: float | None = None
    """Dense multiply-accumulates over those that the kernels spend, counted in bits."""
    target_kind: str | None = None
    """Processor that computes: `cpu` or `cuda`."""
    tuning_trials: float | None = None
    layers_tuned: float | None = None
    roofs: Bounds | None = None
    """What its machine has at most."""
    emulated: bool = False
    """Whether the board was emulated: its times say nothing about a real one."""
    unsteady: str = ""
    """Reasons not to trust the times; empty where the board held still."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Every tag of the run."""

    @property
    def timed(self) -> bool:
        """Whether the point is finished and has a latency."""
        return self.status == FINISHED and self.latency_ms is not None

    @cached_property
    def latency_ms(self) -> float | None:
        """Milliseconds of a run, at the pace that the point was brought to; None where neither these nor the
        sessions' medians are known."""
        if self.pace is None and self.median_ms is not None:
            return self.median_ms
        return geometric_mean(self.at_pace_ms) if self.at_pace_ms else None

    @cached_property
    def at_pace_ms(self) -> tuple[float, ...]:
        """Median of each session in milliseconds, at the pace that the point was brought to."""
        if self.pace is None:
            return self.session_medians_ms
        return tuple(
            median / pace for median, pace in zip(self.session_medians_ms, self.pace.beside, strict=True)
        )

    @cached_property
    def logs(self) -> tuple[float, ...]:
        """Logarithm of each session's median in milliseconds, at the pace that the point was brought to; of
        the latency where sessions aren't known."""
        medians = self.at_pace_ms or (self.latency_ms,)
        return tuple(math.log(median) for median in medians if median is not None)

    @property
    def drift(self) -> Drift:
        """What is not known of the pace."""
        return NO_DRIFT if self.pace is None else self.pace.drift

    @cached_property
    def estimate(self) -> Estimate:
        """The latency by its sessions, with what these and the machine's pace leave open."""
        # SciPy comes with it.
        from dlas.analysis.statistics import contrast

        return contrast.of_sessions([self.logs], drifts=[self.drift])

    @property
    def steps(self) -> tuple[str, ...]:
        """Compressions in the order in which they were made; empty for a dense network."""
        named = self.choices.get("compression", NO_COMPRESSION)
        return () if named == NO_COMPRESSION else tuple(named.split(STEP))
