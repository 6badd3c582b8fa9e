"""What varied between points, and what a point's choices are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlas.analysis.observation import LAYERS, Observation

MISSING = "-"
"""Choice of a point that has no such setting."""

MOST_VALUES = 50
"""Most values of a setting, such as a seed, that are compared with each other."""


@dataclass(frozen=True)
class Naming:
    """The choices that tell the points apart."""

    factors: tuple[str, ...]
    """Keys of the choices that vary, layers first."""
    joined: Mapping[str, tuple[str, ...]]
    """Settings that not every point has, by the layer whose option has them: they are told with its choice
    (`weight_pruning sparsity=0.9`)."""
    implied: Mapping[str, str]
    """Settings that change only together with a layer's choice, and which: they can't be told apart."""
    crowded: tuple[str, ...] = ()
    """Settings with more than `MOST_VALUES` values, which are not compared."""

    def settings(self, point: Observation, factor: str) -> dict[str, str]:
        """The choice of a factor and the settings told with it, by their full keys."""
        keys = (factor, *self.joined.get(factor, ()))
        return {key: point.choices[key] for key in keys if key in point.choices}

    def level(self, point: Observation, factor: str) -> str:
        """What the point's choice is called."""
        named = point.choices.get(factor, MISSING)
        more = [
            f"{key.rpartition('.')[2]}={point.choices[key]}"
            for key in self.joined.get(factor, ())
            if key in point.choices
        ]
        return " ".join([named, *more])

    def levels(self, point: Observation) -> tuple[str, ...]:
        """What the point's choice of each factor is called."""
        return tuple(self.level(point, factor) for factor in self.factors)


def of(points: Sequence[Observation]) -> Naming:
    """The choices that differ between these points."""
    values: dict[str, list[str]] = defaultdict(list)
    for point in points:
        for key, value in point.choices.items():
            values[key].append(value)
    varying = sorted((key for key, found in values.items() if len(set(found)) > 1), key=_place)
    of_some = [key for key in varying if len(values[key]) < len(points) and _layer(key)]
    joined: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for key in of_some:
        joined[_layer(key)] += (key,)
    layers = {key for key in varying if key in LAYERS} | joined.keys()
    factors = [*(layer for layer in LAYERS if layer in layers)]
    settings = [key for key in varying if key not in LAYERS and key not in of_some]
    crowded = tuple(key for key in settings if len(set(values[key])) > MOST_VALUES)
    factors += [key for key in settings if key not in crowded]
    implied = _implied(Naming(tuple(factors), joined, {}), points)
    kept = tuple(factor for factor in factors if factor not in implied)
    return Naming(kept, joined, implied, crowded)


def _layer(key: str) -> str:
    """The layer that a setting belongs to; empty for a layer's own choice, and for a setting of none."""
    layer, dot, _ = key.partition(".")
    return layer if dot and layer in LAYERS else ""


def _place(key: str) -> tuple[int, str]:
    return (LAYERS.index(key) if key in LAYERS else len(LAYERS), key)


def _implied(naming: Naming, points: Sequence[Observation]) -> dict[str, str]:
    layers = [factor for factor in naming.factors if factor in LAYERS]
    settings = [factor for factor in naming.factors if factor not in LAYERS]
    found = {}
    for setting in settings:
        for layer in layers:
            together = {(naming.level(point, layer), naming.level(point, setting)) for point in points}
            if len(together) == len({level for level, _ in together}):
                found[setting] = layer
                break
    return found
