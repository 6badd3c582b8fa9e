"""Which of the points of one name bears each alias in MLflow's registry of models, and what that name is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from dlas.analysis.measured_point import MeasuredPoint

ORDINARY = {"dataset": "digits", "target": "host"}
"""Choices that a name leaves out: those of conf/config.yaml."""

UNNAMED = re.compile(r"[^\w.+-]")
"""Characters that MLflow doesn't take in a name, or in the address of a model."""

CPU = "dlas.cpu"
"""Tag of a point: the CPU of its board."""


def name_of(point: MeasuredPoint) -> str:
    """The name of the registered model that the point is a version of: `dlas-` and the network, then the data
    set and the target where they are not the ordinary ones, and whether the board was emulated."""
    others = [point.choices[key] for key, usual in ORDINARY.items() if point.choices.get(key, usual) != usual]
    parts = ["dlas", point.choices.get("model", ""), *others, *(["emulated"] if point.emulated else [])]
    return UNNAMED.sub("_", "-".join(parts))


def compete(one: MeasuredPoint, other: MeasuredPoint) -> bool:
    """Whether two points of one name were measured on one CPU."""
    return one.tags.get(CPU) == other.tags.get(CPU)


def chosen(points: Sequence[MeasuredPoint]) -> Mapping[str, MeasuredPoint]:
    """The point that bears each alias: `fastest` by its median latency, `smallest` by the bytes of its
    weights, `best` by the accuracy of its library. Of equals the faster one, then the more accurate one, then
    the one that was made first. A point that lacks a value bears none for it."""
    found = {}
    for alias, own in (("fastest", _latency), ("smallest", _bytes), ("best", _error)):
        least = min(map(own, points), default=math.inf)
        if math.isfinite(least):
            alike = [point for point in points if own(point) == least]
            found[alias] = min(alike, key=lambda point: (_latency(point), _error(point)))
    return found


def _latency(point: MeasuredPoint) -> float:
    return math.inf if point.latency_ms is None else point.latency_ms


def _bytes(point: MeasuredPoint) -> float:
    return math.inf if point.format_bytes is None else point.format_bytes


def _error(point: MeasuredPoint) -> float:
    return math.inf if point.accuracy_deployed is None else -point.accuracy_deployed
