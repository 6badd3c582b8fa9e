"""Where the time of a network goes: its layers, by the time that each takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlas.analysis import digits, roofline
from dlas.analysis.table import NOTHING, Cell, Row, Table, number, text
from dlas.hardware.results.roofs import Bounds

if TYPE_CHECKING:
    from dlas.analysis.layer_row import LayerRow

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
    "op/byte",
    "of roof",
    "shape",
)

OF_ROOF = (
    "of roof: operations a second over what the machine has at most for so many operations per byte; it may "
    "be more than 100 % where data stays in the caches, or where an algorithm such as Winograd's does with "
    "fewer operations"
)


@dataclass(frozen=True)
class Network:
    """The layers of a network, and what the machine that timed them has at most."""

    name: str
    layers: Sequence[LayerRow]
    roofs: Bounds | None
    """None where that isn't known."""


def slowest(layers: Sequence[LayerRow], roofs: Bounds | None, shown: int = SHOWN) -> Table:
    """The layers that take most time, and all others together."""
    total = sum(layer.time_ms for layer in layers)
    ordered = sorted(layers, key=lambda layer: -layer.time_ms)
    rows = [cells(layer, total, roofs) for layer in ordered[:shown]]
    rest = ordered[shown:]
    if rest:
        ms = sum(layer.time_ms for layer in rest)
        others = [Cell(NOTHING)] * (len(HEADINGS) - 3)
        rows.append((text(f"{len(rest)} others"), _ms(ms), _share(ms, total), *others))
    title = "Layers by their time, each timed by itself"
    return Table("layers", title, HEADINGS, tuple(rows), () if roofs is None else (OF_ROOF,))


def cells(layer: LayerRow, total_ms: float, roofs: Bounds | None) -> Row:
    """The cells of one layer in a network that takes so long."""
    speed = None if layer.macs is None or layer.time_ms <= 0 else layer.macs / layer.time_ms / 1e6
    place = roofline.placed(layer, roofs)
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
        number(None if place is None else place.intensity),
        number(None if place is None else place.share, _percent),
        text(_shape(layer.workload)),
    )


def _ms(value: float | None) -> Cell:
    return number(value, digits.supported)


def _share(value: float, total: float) -> Cell:
    return number(value / total if total > 0 else 0.0, _percent)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shape(workload: str) -> str:
    """The workload's key up to its padding, which tells images, channels, kernel and stride."""
    return workload.removeprefix("conv2d_n1_").partition("_p")[0]


def of_network(network: Network) -> Table:
    """Every layer of a network, in its order."""
    return Table("layers", "Layers, each timed by itself", HEADINGS, tuple(_rows(network)))


def of_points(networks: Sequence[Network]) -> Table:
    """Every layer of several networks, by the name of the network."""
    return Table("layers", "Layers, each timed by itself", ("point", *HEADINGS), _AllLayers(networks))


@dataclass(frozen=True)
class _AllLayers(Collection[Row]):
    """A row for each layer of the networks, made when it is asked for: large sweeps have very many."""

    networks: Sequence[Network]

    def __iter__(self) -> Iterator[Row]:
        for network in self.networks:
            name = text(network.name)
            for row in _rows(network):
                yield (name, *row)

    def __len__(self) -> int:
        return sum(len(network.layers) for network in self.networks)

    def __contains__(self, row: object) -> bool:
        return any(row == own for own in self)


def _rows(network: Network) -> Iterator[Row]:
    total = sum(layer.time_ms for layer in network.layers)
    return (cells(layer, total, network.roofs) for layer in network.layers)


def summary(networks: Sequence[Network]) -> Table:
    """The slowest layers of several networks, and of each what all others take together."""
    rows = [
        (text(network.name), *row)
        for network in networks
        for row in slowest(network.layers, network.roofs, SHOWN_OF_SEVERAL).rows
    ]
    title = f"The {SHOWN_OF_SEVERAL} slowest layers of each, timed by themselves"
    notes = (OF_ROOF,) if any(network.roofs for network in networks) else ()
    return Table("slowest_layers", title, ("point", *HEADINGS), tuple(rows), notes)
