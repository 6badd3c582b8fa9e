"""Layers beside what their machine has at most: operations a second against operations per byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlas.analysis.phrases import counted
from dlas.analysis.roofline import placed
from dlas.analysis.tables.layers import Network
from dlas.figures.drawing import INK, Drawing, axes, plain_ticks
from dlas.figures.layers import SHOWN, kind_colours, kind_of
from dlas.hardware.results.roofs import INT8, Bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MACHINES = 4
"""Measurements of roofs that there is room for, a figure each."""


def rooflines(networks: Sequence[Network]) -> list[Drawing]:
    """A figure for each measurement of roofs, with the layers of its first networks; none without any."""
    measured = dict.fromkeys(network.roofs for network in networks if network.roofs is not None)
    found = []
    for at, bounds in enumerate(list(measured)[:MACHINES], 1):
        among = [network for network in networks if network.roofs == bounds and network.layers][:SHOWN]
        if among:
            found.append(_roofline("roofline" if at == 1 else f"roofline_{at}", bounds, among))
    return found


def _roofline(name: str, bounds: Bounds, networks: Sequence[Network]) -> Drawing:
    colours = kind_colours(networks)
    layers = [layer for network in networks for layer in network.layers]
    places = [(layer, place) for layer in layers if (place := placed(layer, bounds)) is not None]
    kinds = dict.fromkeys(kind_of(layer) for layer, _ in places)
    ends = [place.intensity for _, place in places]
    low, high = min([1.0, *ends]) / 1.5, max([100.0, *ends]) * 1.5
    with axes(7, 4.5) as (figure, plot):
        for layer, place in places:
            colour = colours[kind_of(layer)]
            face = colour if layer.schedule == "tuned" else "none"
            plot.plot(
                place.intensity, place.speed, "o", markersize=5, color=colour, markerfacecolor=face, alpha=0.8
            )
        _draw_roof(plot, bounds, "float32", (low, high), "-")
        if bounds.int8 is not None and any(place.data_type == INT8 for _, place in places):
            _draw_roof(plot, bounds, INT8, (low, high), "--")
        for kind in kinds:
            plot.plot([], [], "o", color=colours[kind], label=kind)
        plot.set_xscale("log")
        plain_ticks(plot.xaxis)
        plot.set_yscale("log")
        plain_ticks(plot.yaxis)
        plot.set_xlabel("operations per byte of input, weights and output")
        plot.set_ylabel("1e9 operations a second")
        plot.grid(visible=True)
        plot.legend(labelcolor=INK, fontsize=7)
    measured = f"{bounds.bandwidth:.3g} GB/s and {bounds.float32:.3g} GFLOP/s"
    caption = (
        f"{counted(len(places), 'layer')} under the measured roofs of their machine, {measured}. "
        "Filled ones are tuned. Above the slope lies what stays in the caches."
    )
    return Drawing(name, caption, figure)


def _draw_roof(plot: Axes, bounds: Bounds, data_type: str, ends: tuple[float, float], style: str) -> None:
    peak = bounds.peak(data_type)
    assert peak is not None
    knee = peak / bounds.bandwidth
    low, high = ends
    at = np.array([low, np.clip(knee, low, high), high])
    plot.plot(at, np.minimum(peak, at * bounds.bandwidth), style, color=INK, linewidth=1, label=data_type)
