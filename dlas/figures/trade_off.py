"""Accuracy against latency, one figure for each data set and board."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

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
    spans = [span for point in points if (span := intervals.latency_interval(point)) is not None]
    latencies = np.array([point.latency_ms for point in points], dtype=float)
    accuracies = np.array([front.accuracy(point) for point in points], dtype=float)
    colours = [COLOURS[models.index(point.choices.get("model", "")) % len(COLOURS)] for point in points]
    unbeaten = [standing is Standing.UNBEATEN for standing in standings]
    with axes(7, 4) as (figure, plot):
        plot.set_xscale("log")
        lows, highs = [span.low for span in spans], [span.high for span in spans]
        plot.hlines(accuracies, lows, highs, colors=colours, linewidth=1, alpha=0.6)
        faces = [colour if filled else "none" for colour, filled in zip(colours, unbeaten, strict=True)]
        plot.scatter(latencies, accuracies, 6**2, faces, edgecolors=colours, linewidths=1)
        for place in np.flatnonzero(unbeaten)[:NAMED]:
            where, name = (latencies[place], accuracies[place]), names[points[place].run_id]
            plot.annotate(name, where, xytext=(5, 4), textcoords="offset points", fontsize=7)
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
