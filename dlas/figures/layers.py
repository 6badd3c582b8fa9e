"""Where the time of networks goes, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.layer_row import LayerRow
from dlas.analysis.tables.layers import Network
from dlas.figures.drawing import COLOURS, INK, Drawing, axes

SHOWN = 12
"""Networks that there is room for."""

OTHER, OTHER_COLOUR = "no convolution", "#888888"


def bars(networks: Sequence[Network]) -> list[Drawing]:
    """One figure: a bar for each of the first networks, in it each layer by its time; none without any."""
    shown = [network for network in networks if network.layers][:SHOWN]
    if not shown:
        return []
    colours = kind_colours(shown)
    with axes(7.5, 1.4 + 0.35 * len(shown)) as (figure, plot):
        for row, network in enumerate(shown):
            start = 0.0
            for layer in network.layers:
                tuned = layer.schedule == "tuned"
                plot.barh(
                    row,
                    layer.time_ms,
                    left=start,
                    height=0.7,
                    color=colours[kind_of(layer)],
                    edgecolor="#ffffff",
                    linewidth=0.4,
                    hatch="////" if tuned else None,
                )
                start += layer.time_ms
        for kind, colour in colours.items():
            plot.barh(0, 0, color=colour, label=kind)
        plot.barh(0, 0, color="none", edgecolor=INK, hatch="////", label="tuned")
        plot.set_yticks(range(len(shown)), [network.name for network in shown], fontsize=7)
        plot.invert_yaxis()
        plot.set_xlabel("ms, each layer timed by itself")
        plot.legend(labelcolor=INK, fontsize=7, loc="best")
    caption = (
        "Layers from the first to the last, coloured by algorithm, format and type; hatched ones are tuned."
    )
    return [Drawing("layers", caption, figure)]


def kind_colours(networks: Sequence[Network]) -> dict[str, str]:
    """The colour of each kind of kernel in the networks, and of what is no convolution."""
    layers = [layer for network in networks for layer in network.layers if layer.workload]
    kinds = dict.fromkeys(map(kind_of, layers))
    return {kind: COLOURS[at % len(COLOURS)] for at, kind in enumerate(kinds)} | {OTHER: OTHER_COLOUR}


def kind_of(layer: LayerRow) -> str:
    """The algorithm, format and data type of a layer's kernel."""
    if not layer.workload:
        return OTHER
    return " ".join(filter(None, (layer.algorithm, layer.format, layer.data_type)))
