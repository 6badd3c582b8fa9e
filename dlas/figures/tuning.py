"""The course of tuning: the layers' time against trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlas.figures.drawing import COLOURS, INK, Drawing, axes, plain_ticks

LISTED = 12
"""Lines that a legend has room for."""


@dataclass(frozen=True)
class Course:
    """How the time of a network's kernels fell while they were tuned."""

    name: str
    trials: np.ndarray
    """Number of candidates measured so far, from the first at which all kernels had a time."""
    best_ms: np.ndarray
    """Milliseconds of all layers by the best candidate of each, as the tuner measured it alone."""
    untuned_ms: float | None
    """Milliseconds of the same layers untuned, in the network; None where the bundle doesn't tell."""


def curves(courses: Sequence[Course]) -> list[Drawing]:
    """One figure of all courses, each with its untuned time as a dashed line; none without any."""
    if not courses:
        return []
    with axes(7, 4) as (figure, plot):
        for at, one in enumerate(courses):
            colour = COLOURS[at % len(COLOURS)]
            label = one.name if at < LISTED else None
            plot.step(one.trials, one.best_ms, where="post", color=colour, linewidth=1.3, label=label)
            if one.untuned_ms is not None:
                plot.axhline(one.untuned_ms, color=colour, linewidth=0.8, linestyle="--")
        plot.set_yscale("log")
        plain_ticks(plot.yaxis)
        plot.set_xlabel("candidates measured")
        plot.set_ylabel("ms of all layers, best so far")
        plot.grid(visible=True)
        plot.legend(labelcolor=INK, fontsize=7)
    caption = (
        "Time of the layers by the best candidates so far, as the tuner timed them alone, from the "
        "candidate on at which each layer had a time. Dashed: the same layers untuned, in the network."
    )
    return [Drawing("tuning", caption, figure)]
