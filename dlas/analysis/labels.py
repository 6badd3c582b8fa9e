"""Names of points by what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.observation import LAYERS, Observation
from dlas.analysis.phrases import choice

ALWAYS = ("model", "algo")
"""Choices that are in every table, and in the names of points that differ in nothing."""


def varied_choices(points: Sequence[Observation]) -> list[str]:
    """The choices that differ between the points, and those of `ALWAYS`."""
    differing = differing_choices(points)
    return [
        *(key for key in LAYERS if key in (*ALWAYS, *differing)),
        *(key for key in differing if key not in LAYERS),
    ]


def labels(points: Sequence[Observation]) -> dict[str, str]:
    """The name of each point by what differs, `resnet18 compression=none gemm tuner.trials=64`; by the id of
    its run."""
    keys = differing_choices(points) or list(ALWAYS)
    return {
        point.run_id: " ".join(choice(key, point.choices[key]) for key in keys if key in point.choices)
        for point in points
    }


def differing_choices(points: Sequence[Observation]) -> list[str]:
    """The choices that differ between the points, from the first layer to the last, then further settings."""
    known = dict.fromkeys(key for point in points for key in point.choices)
    ordered = [*LAYERS, *(key for key in known if key not in LAYERS)]
    return [key for key in ordered if len({point.choices.get(key) for point in points}) > 1]
