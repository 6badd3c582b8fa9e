"""Where the time of a network goes: its layers, by the time that each takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlas.analysis import digits
from dlas.analysis.table import NOTHING, Cell, Table, number, text

if TYPE_CHECKING:
    from dlas.bundle.layer_table import LayerRow

SHOWN = 10
"""Layers in the short list."""

SHOWN_OF_SEVERAL = 5
"""Layers of each network where there are several."""

HEADINGS = (
    "layer",
    "ms",
    "share",
    "algorithm",
    "format",
    "type",
    "schedule",
    "untuned ms",
    "GMAC/s",
    "shape",
)


def slowest(layers: Sequence[LayerRow], shown: int = SHOWN) -> Table:
    """The layers that take most time, and all others together."""
    total = sum(layer.time_ms for layer in layers)
    ordered = sorted(layers, key=lambda layer: -layer.time_ms)
    rows = [cells(layer, total) for layer in ordered[:shown]]
    rest = ordered[shown:]
    if rest:
        ms = sum(layer.time_ms for layer in rest)
        others = [Cell(NOTHING)] * (len(HEADINGS) - 3)
        rows.append((text(f"{len(rest)} others"), _ms(ms), _share(ms, total), *others))
    return Table("layers", "Layers by their time, each timed by itself", HEADINGS, tuple(rows))


def cells(layer: LayerRow, total_ms: float) -> tuple[Cell, ...]:
    """The cells of one layer in a network that takes so long."""
    speed = None if layer.macs is None or layer.time_ms <= 0 else layer.macs / layer.time_ms / 1e6
    return (
        text(layer.layer),
        _ms(layer.time_ms),
        _share(layer.time_ms, total_ms),
        text(layer.algorithm),
        text(layer.format),
        text(layer.data_type),
        text(layer.schedule if layer.workload else ""),
        _ms(layer.untuned_ms),
        number(speed),
        text(_shape(layer.workload)),
    )


def _ms(value: float | None) -> Cell:
    return number(value, digits.supported)


def _share(value: float, total: float) -> Cell:
    return number(value / total if total > 0 else 0.0, lambda share: f"{100 * share:.1f} %")


def _shape(workload: str) -> str:
    """The workload's key up to its padding, which tells images, channels, kernel and stride."""
    return workload.removeprefix("conv2d_n1_").partition("_p")[0]


def of_points(networks: Sequence[tuple[str, Sequence[LayerRow]]]) -> Table:
    """Every layer of several networks, by the name of the network."""
    rows = []
    for name, layers in networks:
        total = sum(layer.time_ms for layer in layers)
        rows += [(text(name), *cells(layer, total)) for layer in layers]
    return Table("layers", "Layers, each timed by itself", ("point", *HEADINGS), tuple(rows))


def summary(networks: Sequence[tuple[str, Sequence[LayerRow]]]) -> Table:
    """The slowest layers of several networks, and of each what all others take together."""
    rows = [(text(name), *row) for name, layers in networks for row in slowest(layers, SHOWN_OF_SEVERAL).rows]
    title = f"The {SHOWN_OF_SEVERAL} slowest layers of each, timed by themselves"
    return Table("slowest_layers", title, ("point", *HEADINGS), tuple(rows))
