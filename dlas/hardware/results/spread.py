"""Where the spread of a measurement's samples comes from, as far as it was counted.

    source(measurement) -> "waits for cores that other work had: 80% of the time above …", or None

The fastest tenth of all samples is what the library takes undisturbed. The time that all samples took above
it is set against the time that each cause cost: waits and stolen time were counted by the kernel, a slower
clock costs in proportion. What is constant within each session is a matter of its process, or of the board's
pace, which the yardstick beside it tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dlas.hardware.results import statistics
from dlas.hardware.results.measurement import ENOUGH_SESSIONS, Measurement, Session

FASTEST_PERCENT = 10

WORTH_TELLING = 0.02
"""Share of the samples' time above the fastest tenth below which there is no spread to explain."""

MAIN = 0.5
"""Share of that time from which on a cause is the main one."""

NS_PER_S = 1e9

WAITS = "waits for cores that other work had"
STOLEN = "cores that the hypervisor gave to others"
CLOCK = "a clock that changed"
PACE = "the board's own pace, which its yardstick shows too"
PLACES = "what each process meets anew, such as the place of its data in memory"


def source(measured: Measurement) -> str | None:
    """The main source of the spread as the end of a sentence; None where it is small or was not counted."""
    samples = measured.samples_ms
    base = statistics.percentile(samples, FASTEST_PERCENT)
    above = sum(max(0.0, sample - base) for sample in samples)
    if above < WORTH_TELLING * sum(samples):
        return None
    shares = {cause: lost / (above / 1000) for cause, lost in _lost_seconds(measured.sessions).items()}
    if not max(shares.values(), default=0.0) >= MAIN:
        shares = {cause: lost / above for cause, lost in _between_ms(measured, base).items()}
    cause, share = max(shares.items(), key=lambda one: one[1], default=("", 0.0))
    if share < MAIN:
        return None
    return f"{cause}: {min(share, 1.0):.0%} of the time above the fastest tenth of the runs"


def _lost_seconds(sessions: Sequence[Session]) -> Mapping[str, float]:
    """Seconds of all samples that each cause cost which the kernel counts."""
    waits = [one.disturbance.waited_seconds or 0.0 for one in sessions if one.disturbance is not None]
    return {
        WAITS: sum(waits),
        STOLEN: sum(map(_stolen_seconds, sessions)),
        CLOCK: _slower_clock_seconds(sessions),
    }


def _stolen_seconds(session: Session) -> float:
    """Seconds of the samples that a core was taken away, the mean over the cores: that of the whole session,
    of which the samples are a part."""
    before, after = session.before, session.after
    if before.stolen_seconds is None or after.stolen_seconds is None:
        return 0.0
    elapsed = max(after.uptime_seconds - before.uptime_seconds, 1e-9)
    part = min(1.0, _sampled_seconds(session) / elapsed)
    return part * max(0.0, after.stolen_seconds - before.stolen_seconds) / after.cores


def _slower_clock_seconds(sessions: Sequence[Session]) -> float:
    """Seconds that sessions with a slower clock than the fastest took longer, in proportion to the clock."""
    for clock in (_counted_mhz, _told_mhz):
        clocks = [mhz for mhz in map(clock, sessions) if mhz]
        if len(clocks) == len(sessions):
            fastest = max(clocks)
            pairs = zip(sessions, clocks, strict=True)
            return sum(_sampled_seconds(session) * (1 - mhz / fastest) for session, mhz in pairs)
    return 0.0


def _counted_mhz(session: Session) -> float | None:
    """Clock of a session's core while it computed, by its cycles."""
    return None if session.counts is None else session.counts.clock_mhz


def _told_mhz(session: Session) -> float | None:
    """Mean clock of the cores before and after a session, as the system tells it."""
    before, after = session.before.frequency_mhz, session.after.frequency_mhz
    return (before + after) / 2 if before and after else None


def _between_ms(measured: Measurement, base: float) -> Mapping[str, float]:
    """Milliseconds by which whole sessions lay above the fastest tenth: put down to the board's pace where
    the sessions vary less than half as much beside the yardstick's, and to their processes where the
    yardstick itself varies less than half as much on a board that held still."""
    medians, yardstick = measured.session_medians_ms, measured.tracker
    if len(medians) < ENOUGH_SESSIONS or yardstick is None:
        return {}
    beside = measured.yardstick_medians_ms(yardstick)
    lost = sum(measured.runs * max(0.0, median - base) for median in medians)
    if _variance(measured.paces(yardstick)) <= _variance(medians) / 2:
        return {PACE: lost}
    still = not measured.unsteady and _variance(beside) <= _variance(medians) / 2
    return {PLACES: lost} if still else {}


def _variance(values: Sequence[float]) -> float:
    return float(np.var([math.log(value) for value in values], ddof=1))


def _sampled_seconds(session: Session) -> float:
    return sum(session.samples_ns) / NS_PER_S
