"""What varied between points, and what choices and points are called by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlas.analysis.measured_point import LAYERS, MeasuredPoint

ALWAYS = ("model", "algo")
"""Choices that are in every table, and in the names of points that differ in nothing."""

PLAIN = ("none", "dense")
"""Choices that leave their layer out: what others are compared with."""

OWN = "own"
"""Choice of a layer that is part of the compiler, which has its own."""

GIVEN = ("dataset", "model", "target")
"""Layers that a point runs on, rather than with."""

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

    @property
    def varied(self) -> tuple[str, ...]:
        """Keys of all that differs and is told by itself, compared or not, layers first."""
        return _ordered({*self.factors, *self.implied, *self.crowded})

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of what a table tells of each point."""
        return _ordered({*ALWAYS, *self.varied})

    def settings(self, point: MeasuredPoint, factor: str) -> dict[str, str]:
        """The choice of a factor and the settings told with it, by their full keys."""
        keys = (factor, *self.joined.get(factor, ()))
        return {key: point.choices[key] for key in keys if key in point.choices}

    def level(self, point: MeasuredPoint, factor: str) -> str:
        """What the point's choice is called."""
        named = point.choices.get(factor, MISSING)
        more = [
            f"{key.rpartition('.')[2]}={point.choices[key]}"
            for key in self.joined.get(factor, ())
            if key in point.choices
        ]
        return " ".join([named, *more])

    def levels(self, point: MeasuredPoint) -> tuple[str, ...]:
        """What the point's choice of each factor is called."""
        return tuple(self.level(point, factor) for factor in self.factors)

    def told(self, point: MeasuredPoint) -> tuple[str, ...]:
        """What the point's choice of each of the `columns` is called."""
        return tuple(self.level(point, key) for key in self.columns)

    def label(self, point: MeasuredPoint) -> str:
        """The point by what differs: `resnet18 compression=none gemm tuner.trials=64`; by the name of its run
        where nothing is known of its choices."""
        keys = [key for key in self.varied or ALWAYS if key in point.choices]
        return " ".join(choice(key, self.level(point, key)) for key in keys) or point.name


def choice(factor: str, level: str) -> str:
    """A choice by its name, and with its layer where the name says too little: `gemm`, `tuner=none`."""
    told = factor in LAYERS and level.partition(" ")[0] not in (*PLAIN, OWN)
    return level if told else f"{factor}={level}"


def beside(factor: str, level: str) -> str:
    """Where something holds: `on resnet18`, `with tuner=none`."""
    return f"on {level}" if factor in GIVEN else f"with {factor}={level}"


def of(points: Sequence[MeasuredPoint]) -> Naming:
    """The choices that differ between these points."""
    values: dict[str, list[str]] = defaultdict(list)
    for point in points:
        for key, value in point.choices.items():
            values[key].append(value)
    varying = _ordered(key for key, found in values.items() if len(set(found)) > 1)
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


def _ordered(keys: Iterable[str]) -> tuple[str, ...]:
    """Layers from the first to the last, then settings by their names."""
    return tuple(sorted(keys, key=lambda key: (LAYERS.index(key) if key in LAYERS else len(LAYERS), key)))


def _implied(naming: Naming, points: Sequence[MeasuredPoint]) -> dict[str, str]:
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
