"""Every sample of every session, warm and cold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlas.figures.drawing import COLOURS, INK, Drawing, axes, plain_ticks
from dlas.hardware.results.measurement import NS_PER_MS, Measurement

NAMED = 60
"""Points whose names there is room for; more are drawn without."""

WARM, COLD = (COLOURS[0], COLOURS[6]), COLOURS[1]
ROW, MOST_INCHES, MARGIN = 0.22, 14.0, 1.2


@dataclass(frozen=True)
class Samples:
    """Every sample of a point, in milliseconds."""

    name: str
    warm: tuple[np.ndarray, ...]
    """The samples of each session."""
    cold: np.ndarray
    """Those with cold caches; empty where there are none."""


def samples_of(name: str, timing: Measurement) -> Samples:
    """The samples of a measurement of one image."""
    warm = tuple(np.array(session.samples_ns) / NS_PER_MS for session in timing.sessions)
    cold = np.array([one for session in timing.sessions for one in session.cold_ns]) / NS_PER_MS
    return Samples(name, warm, cold)


def every_sample(samples: Sequence[Samples]) -> list[Drawing]:
    """One figure: a row for each point, the fastest on top; none where there are no samples."""
    if not samples:
        return []
    from dlas.figures.dots import Dots

    ordered = sorted(samples, key=lambda one: float(np.median(np.concatenate(one.warm))))
    height = min(MOST_INCHES, MARGIN + ROW * len(ordered))
    sessions = max(len(one.warm) for one in ordered)
    with axes(7.5, height) as (figure, plot):
        for session in range(sessions):
            shift = 0.5 * (session / sessions - 0.4)
            rows = [
                (row + shift, one.warm[session]) for row, one in enumerate(ordered) if session < len(one.warm)
            ]
            plot.add_line(Dots(rows, WARM[session % 2]))
        cold = [(row + 0.35, one.cold) for row, one in enumerate(ordered) if one.cold.size]
        if cold:
            plot.add_line(Dots(cold, COLD))
            plot.plot([], [], ".", color=COLD, label="cold caches")
        for colour, label in zip(WARM, ("warm", "warm, every second session"), strict=True):
            plot.plot([], [], ".", color=colour, label=label)
        times = [each for one in samples for each in (*one.warm, one.cold) if each.size]
        plot.update_datalim([(min(each.min() for each in times), 0), (max(each.max() for each in times), 0)])
        plot.set_xscale("log")
        plot.autoscale_view()
        plain_ticks(plot.xaxis)
        plot.set_xlabel("latency in ms")
        plot.set_ylim(len(ordered) - 0.5, -0.5)
        if len(ordered) <= NAMED:
            plot.set_yticks(range(len(ordered)), [one.name for one in ordered], fontsize=7)
        else:
            plot.set_ylabel(f"{len(ordered)} points, the fastest on top")
        plot.grid(visible=True, axis="x")
        plot.legend(labelcolor=INK, fontsize=8, loc="lower right")
    count = sum(each.size for each in times)
    caption = f"Every one of {count} samples; the sessions of a point lie one below the other."
    return [Drawing("samples", caption, figure)]
