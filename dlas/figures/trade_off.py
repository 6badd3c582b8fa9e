"""Accuracy against latency, one figure for each data set and board."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dlas.analysis import front, intervals
from dlas.analysis.front import Standing
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.tables.study import grouped
from dlas.figures.drawing import COLOURS, INK, Drawing, axes, plain_ticks

NAMED = 12
"""Points of the front whose names there is room for."""


def trade_offs(points: Sequence[MeasuredPoint], names: Mapping[str, str]) -> list[Drawing]:
    """A figure for each contest with two points or more that have an accuracy and a latency."""
    shown = [point for point in points if point.timed and front.accuracy(point) is not None]
    return [
        _trade_off(contest, among, names)
        for contest, among in grouped(shown, front.contest).items()
        if len(among) > 1
    ]


def _trade_off(
    contest: tuple[str, str, bool], points: Sequence[MeasuredPoint], names: Mapping[str, str]
) -> Drawing:
    dataset, target, emulated = contest
    standings = front.standings(points, [front.ACCURACY, front.LATENCY])
    models = list(dict.fromkeys(point.choices.get("model", "") for point in points))
    named = 0
    with axes(7, 4) as (figure, plot):
        for point, standing in zip(points, standings, strict=True):
            interval, accuracy = intervals.latency_interval(point), front.accuracy(point)
            assert interval is not None
            assert accuracy is not None
            assert point.latency_ms is not None
            colour = COLOURS[models.index(point.choices.get("model", "")) % len(COLOURS)]
            unbeaten = standing is Standing.UNBEATEN
            span = [min(interval.low, point.latency_ms), max(interval.high, point.latency_ms)]
            plot.plot(span, [accuracy] * 2, color=colour, linewidth=1, alpha=0.6)
            face = colour if unbeaten else "none"
            plot.plot(point.latency_ms, accuracy, "o", markersize=6, color=colour, markerfacecolor=face)
            if unbeaten and named < NAMED:
                named += 1
                where = point.latency_ms, accuracy
                name = names[point.run_id]
                plot.annotate(name, where, xytext=(5, 4), textcoords="offset points", fontsize=7)
        plot.set_xscale("log")
        plain_ticks(plot.xaxis)
        plot.set_xlabel("latency in ms, lower is better")
        plot.set_ylabel("accuracy")
        plot.grid(visible=True)
        if len(models) <= len(COLOURS):
            for model, colour in zip(models, COLOURS, strict=False):
                plot.plot([], [], "o", color=colour, label=model)
            plot.legend(labelcolor=INK, fontsize=8)
    board = f"{target}{', emulated' if emulated else ''}"
    caption = (
        f"Accuracy and latency of {len(points)} points on {board}, data set {dataset}. Filled: not beaten in "
        "both; a line is the interval of the latency."
    )
    return Drawing(_file_name("front", dataset, board), caption, figure)


def _file_name(*parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", "_".join(parts).lower()).strip("_")
