"""Figures of a single point: its layers from the first to the last, its samples in their order."""

from __future__ import annotations

import numpy as np

from dlas.analysis.tables.layers import Network
from dlas.figures.drawing import COLOURS, INK, Drawing, axes
from dlas.figures.layers import kind_colours, kind_of
from dlas.figures.samples import Samples

LAYERS = 40
"""Layers that there is room for: of more, the slowest."""

ROW, MARGIN = 0.16, 0.8
"""Inches of a layer, and of what stands below them."""


def layers(network: Network) -> list[Drawing]:
    """A bar for each layer, by its time and its kind of kernel; no figure without any layer."""
    places = sorted(range(len(network.layers)), key=lambda place: -network.layers[place].time_ms)[:LAYERS]
    shown = [network.layers[place] for place in sorted(places)]
    if not shown:
        return []
    times = np.array([layer.time_ms for layer in shown])
    with axes(7, MARGIN + ROW * len(shown)) as (figure, plot):
        for kind, colour in kind_colours([network]).items():
            for tuned in (False, True):
                rows = [
                    row
                    for row, layer in enumerate(shown)
                    if kind_of(layer) == kind and (layer.schedule == "tuned") == tuned
                ]
                if rows:
                    label = f"{kind}, tuned" if tuned else kind
                    hatch = "////" if tuned else None
                    plot.barh(
                        rows,
                        times[rows],
                        color=colour,
                        hatch=hatch,
                        edgecolor="#ffffff",
                        linewidth=0,
                        label=label,
                    )
        plot.set_yticks(range(len(shown)), [layer.layer for layer in shown], fontsize=6)
        plot.set_ylim(len(shown) - 0.4, -0.6)
        plot.set_xlabel("ms, each layer timed by itself")
        plot.legend(labelcolor=INK, fontsize=7)
    of_all = "" if len(shown) == len(network.layers) else f", the slowest of {len(network.layers)}"
    return [Drawing("layers", f"{len(shown)} layers{of_all}. Hatched ones are tuned.", figure)]


def samples(point: Samples) -> Drawing:
    """Every sample by the order of the runs; every second session in another colour."""
    starts = np.cumsum([1, *(session.size for session in point.warm)])
    with axes(7, 3) as (figure, plot):
        for number, session in enumerate(point.warm):
            at = starts[number] + np.arange(session.size)
            plot.plot(at, session, ".", markersize=3, color=COLOURS[0 if number % 2 == 0 else 1])
        plot.locator_params(axis="x", integer=True)
        plot.set_ylim(bottom=0)
        plot.set_xlabel(
            f"runs of {len(point.warm)} sessions, one after the other" if len(point.warm) > 1 else "runs"
        )
        plot.set_ylabel("latency in ms")
    return Drawing("samples", "Every sample with warm caches; sessions in two colours by turns.", figure)
