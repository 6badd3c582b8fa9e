"""Measured against expected speedup."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.tables.speedups import Speedup
from dlas.figures.drawing import COLOURS, INK, Drawing, axes, plain_ticks


def reached(speedups: Sequence[Speedup]) -> list[Drawing]:
    """One figure of all compressed points with a dense one beside them, or none."""
    found = [
        (one.point.choices.get("compression", ""), one.point.expected_speedup, one.same)
        for one in speedups
        if one.same is not None and one.point.expected_speedup
    ]
    if not found:
        return []
    kinds = list(dict.fromkeys(kind for kind, _, _ in found))
    colours = [COLOURS[kinds.index(kind) % len(COLOURS)] for kind, _, _ in found]
    expected, values = [each for _, each, _ in found], [same.value for _, _, same in found]
    lows, highs = ([same.interval.low for _, _, same in found], [same.interval.high for _, _, same in found])
    with axes(6, 4.5) as (figure, plot):
        plot.set_xscale("log")
        plot.set_yscale("log")
        plot.vlines(expected, lows, highs, colors=colours, linewidth=1, alpha=0.6)
        plot.scatter(expected, values, 5**2, colours, linewidths=1)
        low, high = min(*expected, *values, 1.0) / 1.2, max(*expected, *values, 1.0) * 1.2
        plot.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--")
        plot.axhline(1.0, color=INK, linewidth=0.8, linestyle=":")
        plain_ticks(plot.xaxis)
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
