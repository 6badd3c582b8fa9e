"""Names of points by what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.observation import LAYERS, Observation

ALWAYS = ("model", "algo")
"""Choices that are in every name and every table."""


def varied_choices(points: Sequence[Observation]) -> list[str]:
    """The choices that differ between the points, and those of `ALWAYS`: from the first layer to the last,
    then further settings."""
    known = dict.fromkeys(key for point in points for key in point.choices)
    ordered = [*LAYERS, *(key for key in known if key not in LAYERS)]
    return [key for key in ordered if key in ALWAYS or len({point.choices.get(key) for point in points}) > 1]


def label(point: Observation, varied: Sequence[str]) -> str:
    """The name of a point by these choices: `resnet18 weight_pruning gemm tuner.trials=64`."""
    chosen = {key: point.choices[key] for key in varied if key in point.choices}
    return " ".join(value if key in LAYERS else f"{key}={value}" for key, value in chosen.items())
