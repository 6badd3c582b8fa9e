"""A measurement: the protocol and every raw sample, with what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlas import config
from dlas.hardware.results import footprints, processor_counts, statistics
from dlas.hardware.results.footprints import StartTimes
from dlas.hardware.results.measurement import in_turn
from dlas.hardware.results.measurement.session import NS_PER_MS, Session, session
from dlas.hardware.results.processor_counts import Counts
from dlas.hardware.results.statistics import Interval
from dlas.hardware.sessions.observers.footprint import Footprint, Memory
from dlas.hardware.targets import steadiness

ENOUGH_SESSIONS = 4
"""Fewest sessions that say how much sessions differ: Student's interval of three is twice as wide."""

MS_PER_S = 1000
MJ_PER_J = 1000


@dataclass(frozen=True)
class Measurement:
    """The latency of a network, with one image in a run or as many as `batch`."""

    runs: int
    """Samples kept in each session."""
    warmup: int
    """Runs after the first and before the samples, which are not kept."""
    threads: int
    sessions: tuple[Session, ...]
    emulated: bool = False
    """Whether the board was emulated. Such times say nothing about a real one, and are compared with none."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Environment of the board, as the first session found it (run_environment.of_this_machine)."""
    cold: int = 0
    """Samples with cold caches in each session."""
    yardsticks: Mapping[str, tuple[Session, ...]] = field(default_factory=dict)
    """Sessions of the yardsticks, the networks that are always the same, by name: one of each beside each
    session, or none."""
    batch: int = 1
    larger: Mapping[int, tuple[Session, ...]] = field(default_factory=dict)
    """Sessions of the same network built for larger batches, by batch size, each of the
    round of one for one image."""
    least_sessions: int = 1
    """Sessions that the protocol asks for before it looks for an answer."""
    budget_seconds: float = 0.0
    """Seconds within which further sessions could follow."""
    same_within_percent: float = 5.0
    """Largest difference that the protocol takes for none."""
    turns: int = 1
    """Number of turns in which the sessions of a round took their samples; 1 where they followed each
    other."""

    @property
    def batches(self) -> tuple[Measurement, ...]:
        """This measurement, and one for every larger batch, by the same protocol and beside
        the same yardstick."""
        return (
            self,
            *(
                replace(self, batch=size, sessions=sessions, larger={})
                for size, sessions in self.larger.items()
            ),
        )

    @property
    def images_per_second(self) -> float:
        """Images per second at the median."""
        return self.batch * MS_PER_S / self.median_ms

    @cached_property
    def samples_ms(self) -> tuple[float, ...]:
        """Every sample of every session, in the order in which they were taken."""
        return tuple(sample / NS_PER_MS for session in self.sessions for sample in session.samples_ns)

    @property
    def first_ms(self) -> float:
        """The first run of the first session."""
        return self.sessions[0].first_ns / NS_PER_MS

    @cached_property
    def median_ms(self) -> float:
        """Milliseconds of a run: the median over the samples of a session, its geometric mean over the
        sessions, which `interval_ms` is about."""
        return statistics.geometric_mean(self.session_medians_ms)

    @cached_property
    def interval_ms(self) -> Interval:
        """The confidence interval of the median: over the sessions where there are enough, else over the
        samples of what sessions there are, which leaves out how much sessions differ."""
        if self.has_enough_sessions:
            return statistics.geometric_mean_interval(self.session_medians_ms)
        found = statistics.median_interval(self.samples_ms)
        return Interval(min(found.low, self.median_ms), max(found.high, self.median_ms))

    @property
    def has_enough_sessions(self) -> bool:
        """Whether there are enough sessions to say how much they differ."""
        return len(self.sessions) >= ENOUGH_SESSIONS

    @cached_property
    def session_medians_ms(self) -> tuple[float, ...]:
        return tuple(session.median_ms for session in self.sessions)

    @cached_property
    def cold_ms(self) -> float | None:
        """The median with cold caches; None where none was timed so."""
        samples = [sample / NS_PER_MS for session in self.sessions for sample in session.cold_ns]
        return statistics.median(samples) if samples else None

    @cached_property
    def tracker(self) -> str | None:
        """The yardstick that follows this network best from session to session: beside it the logarithms of
        the medians vary least. None where none was timed."""
        if len(self.sessions) < ENOUGH_SESSIONS:
            return next(iter(self.yardsticks), None)
        return min(self.yardsticks, key=lambda name: statistics.log_deviation(self.paces(name)), default=None)

    def paces(self, yardstick: str) -> tuple[float, ...]:
        """Ratio of each session to that of this yardstick beside it, which a slower board leaves as it is."""
        return in_turn.ratios(self._turn_medians, _turn_medians(self.yardsticks[yardstick], self.turns))

    def over(self, others: Sequence[Session]) -> tuple[float, ...]:
        """Ratio of each session to the other one of its round, by the fastest runs of their turns."""
        return in_turn.ratios(_fastest(self.sessions, self.turns), _fastest(others, self.turns))

    def mix(self, names: Sequence[str]) -> dict[str, float]:
        """Those of these yardsticks that this network follows, and how many runs of each together take as
        long as one of it. Its time is a sum as well, of computing, of waiting for memory, and of what each
        kernel takes to start; what slows the board down slows one of these more than another."""
        beside = [_fastest(self.yardsticks[name], self.turns) for name in names]
        runs = in_turn.runs_as_long(_fastest(self.sessions, self.turns), beside) if beside else ()
        return {name: count for name, count in zip(names, runs, strict=True) if count > 0}

    def mix_paces(self, mix: Mapping[str, float]) -> tuple[float, ...]:
        """Ratio of each session to so many runs of each yardstick beside it, by the fastest runs of their
        turns."""
        return in_turn.ratios(_fastest(self.sessions, self.turns), self._mixed(mix))

    def unfollowed(self, mix: Mapping[str, float]) -> float:
        """The share, 0 to 1, of this network's scatter from turn to turn that so many runs of each yardstick
        don't follow: of the standard deviation of the logarithms of the fastest runs."""
        own = _fastest(self.sessions, self.turns)
        scatter = float(np.log(own).std())
        return min(float(np.log(own / self._mixed(mix)).std()) / scatter, 1.0) if scatter > 0 else 1.0

    def _mixed(self, mix: Mapping[str, float]) -> NDArray[np.float64]:
        """Time of so many runs of each yardstick in each turn of each session, by the fastest runs."""
        beside = [count * _fastest(self.yardsticks[name], self.turns) for name, count in mix.items()]
        mixed: NDArray[np.float64] = np.sum(beside, axis=0)
        return mixed

    @cached_property
    def _turn_medians(self) -> NDArray[np.float64]:
        return _turn_medians(self.sessions, self.turns)

    @cached_property
    def energy_mj(self) -> dict[str, float]:
        """Millijoules of a run of the whole batch, by each meter: measured over all samples and the
        moments between them."""
        meters = sorted({meter for session in self.sessions for meter in session.joules})
        joules = {meter: sum(one.joules.get(meter, 0.0) for one in self.sessions) for meter in meters}
        return {meter: MJ_PER_J * total / len(self.samples_ms) for meter, total in joules.items()}

    @property
    def memory(self) -> Memory | None:
        """The memory of the session that held the most; None where none was told."""
        return footprints.most(self._footprints)

    @property
    def start(self) -> StartTimes | None:
        """The parts of a start, medians over sessions; None where they were not timed."""
        return footprints.start_times(self._footprints, [one.first_ns for one in self.sessions])

    @property
    def _footprints(self) -> list[Footprint]:
        return [one.footprint for one in self.sessions if one.footprint is not None]

    @property
    def counts(self) -> tuple[Counts, ...]:
        """The counts of each session that has some."""
        return tuple(session.counts for session in self.sessions if session.counts is not None)

    @cached_property
    def counted(self) -> dict[str, float]:
        """Instructions and cache misses of a run, and the clock in MHz, as far as they were counted."""
        return processor_counts.of_a_run(self.counts, self.runs)

    def yardstick_medians_ms(self, yardstick: str) -> tuple[float, ...]:
        return tuple(session.median_ms for session in self.yardsticks[yardstick])

    def yardstick_fastest_ms(self, yardstick: str) -> tuple[float, ...]:
        """Time of the yardstick in each session: the median over its turns of the fastest run of each."""
        fastest = _fastest(self.yardsticks[yardstick], self.turns)
        return tuple((np.median(fastest, axis=1) / NS_PER_MS).tolist())

    def percentile_ms(self, percent: float) -> float:
        return statistics.percentile(self.samples_ms, percent)

    @cached_property
    def outliers(self) -> tuple[int, ...]:
        """Positions in `samples_ms` of samples far from the rest, which are kept and counted all the same."""
        return statistics.outliers(self.samples_ms)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The reasons not to trust this measurement, the worst session's of each kind; none when the
        board held still."""
        return _worst((*self.yardstick_sessions, *self.sessions))

    @property
    def unsteady_at_any_size(self) -> tuple[str, ...]:
        """The reasons not to trust this measurement or that of a larger batch."""
        larger = (session for sessions in self.larger.values() for session in sessions)
        return _worst((*self.yardstick_sessions, *self.sessions, *larger))

    @property
    def yardstick_sessions(self) -> tuple[Session, ...]:
        """The sessions of all yardsticks."""
        return tuple(session for sessions in self.yardsticks.values() for session in sessions)

    def summary(self) -> dict[str, Any]:
        """The numbers that a reader wants first, in milliseconds."""
        return {
            "median_ms": self.median_ms,
            "ci_low_ms": self.interval_ms.low,
            "ci_high_ms": self.interval_ms.high,
            "ci_over": "sessions" if self.has_enough_sessions else "samples",
            "first_ms": self.first_ms,
            **({} if self.cold_ms is None else {"cold_ms": self.cold_ms}),
            "p10_ms": self.percentile_ms(10),
            "p90_ms": self.percentile_ms(90),
            "p99_ms": self.percentile_ms(99),
            **({"energy_mj_measured": self.energy_mj} if self.energy_mj else {}),
            **({"counted": self.counted} if self.counted else {}),
            "images_per_s": self.images_per_second,
            "outliers": len(self.outliers),
            "unsteady": list(self.unsteady),
            "emulated": self.emulated,
            **({"larger": {one.batch: one.summary() for one in self.batches[1:]}} if self.larger else {}),
        }


def of_sessions(
    found: Mapping[int, Sequence[Mapping[str, Any]]],
    yardsticks: Mapping[str, Sequence[Mapping[str, Any]]],
    protocol: config.Timing,
    turns: int,
    *,
    emulated: bool,
) -> Measurement:
    """The measurement that sessions (dlas.hardware.sessions) wrote of a network, by batch size, and
    of each yardstick."""
    sessions = {size: tuple(session(values) for values in one) for size, one in found.items()}
    first = found[1][0]
    return Measurement(
        protocol.runs,
        protocol.warmup,
        int(first["threads"]),
        sessions.pop(1),
        emulated or first["emulated"],
        first["environment"],
        protocol.cold,
        {name: tuple(session(values) for values in beside) for name, beside in yardsticks.items()},
        larger=sessions,
        least_sessions=protocol.sessions,
        budget_seconds=protocol.budget,
        same_within_percent=protocol.same_within_percent,
        turns=turns,
    )


def _turn_medians(sessions: Sequence[Session], turns: int) -> NDArray[np.float64]:
    return in_turn.medians([one.samples_ns for one in sessions], turns)


def _fastest(sessions: Sequence[Session], turns: int) -> NDArray[np.float64]:
    return in_turn.fastest([one.samples_ns for one in sessions], turns)


def _worst(sessions: Iterable[Session]) -> tuple[str, ...]:
    return steadiness.worst(one for session in sessions for one in session.unsteadiness)
