"""Measured against expected speedup."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.tables.speedups import speedups
from dlas.figures.drawing import COLOURS, INK, Drawing, axes, plain_ticks


def reached(points: Sequence[MeasuredPoint]) -> list[Drawing]:
    """One figure of all compressed points with a dense one beside them, or none."""
    found = [
        (one, one.point.expected_speedup)
        for one in speedups(points)
        if one.same is not None and one.point.expected_speedup
    ]
    if not found:
        return []
    kinds = list(dict.fromkeys(one.point.choices.get("compression", "") for one, _ in found))
    with axes(6, 4.5) as (figure, plot):
        ends: list[float] = []
        for one, expected in found:
            assert one.same is not None
            kind = one.point.choices.get("compression", "")
            colour = COLOURS[kinds.index(kind) % len(COLOURS)]
            interval = one.same.interval
            plot.plot([expected] * 2, [interval.low, interval.high], color=colour, linewidth=1, alpha=0.6)
            plot.plot(expected, one.same.value, "o", markersize=5, color=colour)
            ends += [expected, one.same.value]
        low, high = min(*ends, 1.0) / 1.2, max(*ends, 1.0) * 1.2
        plot.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--")
        plot.axhline(1.0, color=INK, linewidth=0.8, linestyle=":")
        plot.set_xscale("log")
        plain_ticks(plot.xaxis)
        plot.set_yscale("log")
        plain_ticks(plot.yaxis)
        plot.set_xlabel("expected speedup")
        plot.set_ylabel("measured, against the same kernels dense")
        plot.grid(visible=True)
        for kind, colour in list(zip(kinds, COLOURS, strict=False))[: len(COLOURS)]:
            plot.plot([], [], "o", color=colour, label=kind)
        plot.legend(labelcolor=INK, fontsize=8)
    caption = (
        f"Speedup of {len(found)} compressed points against the dense network with all else the same. "
        "Dashed: as much as expected; dotted: no gain."
    )
    return [Drawing("speedup", caption, figure)]
