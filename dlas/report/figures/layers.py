"""Where the time of networks goes, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.bundle.layer_table import LayerRow
from dlas.report.figures.drawing import COLOURS, INK, Drawing, axes

SHOWN = 12
"""Networks that there is room for."""

OTHER, OTHER_COLOUR = "no convolution", "#888888"


def bars(networks: Sequence[tuple[str, Sequence[LayerRow]]]) -> list[Drawing]:
    """One figure: a bar for each of the first networks, in it each layer by its time; none without any."""
    shown = [(name, layers) for name, layers in networks if layers][:SHOWN]
    if not shown:
        return []
    kinds = list(dict.fromkeys(_kind(layer) for _, layers in shown for layer in layers if layer.workload))
    colours = {kind: COLOURS[at % len(COLOURS)] for at, kind in enumerate(kinds)} | {OTHER: OTHER_COLOUR}
    with axes(7.5, 1.4 + 0.35 * len(shown)) as (figure, plot):
        for row, (_, layers) in enumerate(shown):
            start = 0.0
            for layer in layers:
                tuned = layer.schedule == "tuned"
                plot.barh(
                    row,
                    layer.time_ms,
                    left=start,
                    height=0.7,
                    color=colours[_kind(layer)],
                    edgecolor="#ffffff",
                    linewidth=0.4,
                    hatch="////" if tuned else None,
                )
                start += layer.time_ms
        for kind in (*kinds, OTHER):
            plot.barh(0, 0, color=colours[kind], label=kind)
        plot.barh(0, 0, color="none", edgecolor=INK, hatch="////", label="tuned")
        plot.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=7)
        plot.invert_yaxis()
        plot.set_xlabel("ms, each layer timed by itself")
        plot.legend(labelcolor=INK, fontsize=7, loc="best")
    caption = (
        "Layers from the first to the last, coloured by algorithm, format and type; hatched ones are tuned."
    )
    return [Drawing("layers", caption, figure)]


def _kind(layer: LayerRow) -> str:
    if not layer.workload:
        return OTHER
    return " ".join(filter(None, (layer.algorithm, layer.format, layer.data_type)))
