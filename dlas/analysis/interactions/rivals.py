"""What a point has to beat to be on the front: points of its data set and target that are as accurate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dlas.analysis.grid import Grid

OF_LATENCY_ALONE = ("algo", "format", "compiler", "tuner", "target")
"""Layers that leave a network's accuracy as it is, but for rounding."""

PLACE = ("dataset", "target")
"""Layers within which latencies are rivals."""


@dataclass(frozen=True)
class Rivals:
    """The measured latencies by place and by the accuracy of their network."""

    network: Sequence[int]
    """Positions of the factors that decide the accuracy."""
    place: Sequence[int]
    """Positions of the factors of `PLACE`."""
    accuracies: Mapping[tuple[str, ...], float]
    """Mean accuracy of each network, where it is known."""
    latencies: Mapping[tuple[str, ...], Sequence[tuple[float, float | None]]]
    """Log latencies with the accuracies of their networks, by place."""
    _found: dict[tuple[tuple[str, ...], float | None], float | None] = field(default_factory=dict)

    def accuracy(self, levels: Sequence[str]) -> float | None:
        """The mean accuracy of the points that have the same network; None where it isn't known."""
        return self.accuracies.get(_at(levels, self.network))

    def fastest(self, levels: Sequence[str]) -> float | None:
        """The least log latency of the points that are as accurate, of all where the accuracy isn't known;
        None where there is none."""
        key = (_at(levels, self.place), self.accuracy(levels))
        if key not in self._found:
            self._found[key] = self._least(*key)
        return self._found[key]

    def _least(self, place: tuple[str, ...], accuracy: float | None) -> float | None:
        rivals = self.latencies.get(place, ())
        as_accurate = (
            log for log, its in rivals if accuracy is None or (its is not None and its >= accuracy)
        )
        return min(as_accurate, default=None)


def of(grid: Grid) -> Rivals:
    """The rivals of any point of the grid."""
    names = [factor.name for factor in grid.factors]
    network = [at for at, name in enumerate(names) if name not in OF_LATENCY_ALONE]
    place = [at for at, name in enumerate(names) if name in PLACE]
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for cell in grid.cells:
        known = [one.accuracy_deployed for one in cell.points if one.accuracy_deployed is not None]
        found[_at(cell.levels, network)] += known
    accuracies = {each: sum(known) / len(known) for each, known in found.items() if known}
    latencies: dict[tuple[str, ...], list[tuple[float, float | None]]] = defaultdict(list)
    for cell, mean in zip(grid.cells, grid.means, strict=True):
        accuracy = accuracies.get(_at(cell.levels, network))
        latencies[_at(cell.levels, place)].append((float(mean), accuracy))
    return Rivals(network, place, accuracies, latencies)


def _at(levels: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(levels[at] for at in places)
