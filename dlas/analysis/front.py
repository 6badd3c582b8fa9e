"""Points that no other one beats, with ties where the measurement can't tell two apart.

Only points of one data set and one board compete. One beats another where it is at least as good in
everything that was asked for, and in something by more than the measurement leaves open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from dlas.analysis.intervals import latency_interval, place
from dlas.analysis.measured_point import MeasuredPoint
from dlas.hardware.results.statistics import Interval

MEMORY_STEP = 1 << 20
"""Bytes of memory that are not told apart: sessions of one library were seen to differ by a tenth of it."""


class Standing(Enum):
    """What a comparison with all others says of a point; the value is its mark in tables."""

    UNBEATEN = "*"
    BEATEN = ""
    UNSURE = "?"
    """Beaten by the time that was measured, which is that of an unsteady board and may be too long."""


@dataclass(frozen=True)
class Aim:
    """Something that points are compared in."""

    name: str
    value: Callable[[MeasuredPoint], float | None]
    """The value of a point, lower is better; None where it has none."""
    interval: Callable[[MeasuredPoint], Interval | None] = lambda point: None
    """The interval of the value, where it was measured and not counted."""


def accuracy(point: MeasuredPoint) -> float | None:
    """The accuracy of what runs: of the library, else of the compressed network, else of the dense one."""
    known = (point.accuracy_deployed, point.accuracy_compressed, point.accuracy_dense)
    return next((value for value in known if value is not None), None)


def _error(point: MeasuredPoint) -> float | None:
    found = accuracy(point)
    return None if found is None else -found


def _memory(point: MeasuredPoint) -> float | None:
    """Memory in whole steps: sessions of one library differ by a part of one."""
    return None if point.memory_bytes is None else round(point.memory_bytes / MEMORY_STEP) * MEMORY_STEP


def _latency(point: MeasuredPoint) -> float | None:
    return point.latency_ms


ACCURACY = Aim("accuracy", _error)
LATENCY = Aim("latency", _latency, latency_interval)
SIZE = Aim("size", lambda point: point.format_bytes)
MEMORY = Aim("memory", _memory)


def aims(points: Sequence[MeasuredPoint], wished: Sequence[Aim] = (ACCURACY, LATENCY, SIZE)) -> list[Aim]:
    """Those of the wished aims that can tell points apart: that all timed points have, and not all alike.
    Latency is always one of them."""
    timed = [point for point in points if point.timed]

    def tells_apart(aim: Aim) -> bool:
        values = {aim.value(point) for point in timed}
        return len(values) > 1 and None not in values

    return [aim for aim in wished if aim is LATENCY or tells_apart(aim)]


def contest(point: MeasuredPoint) -> tuple[str, str, bool]:
    """The contest that a point takes part in: its data set, its target, and whether that was emulated."""
    return point.choices.get("dataset", ""), *place(point)


def standings(points: Sequence[MeasuredPoint], of: Sequence[Aim]) -> list[Standing | None]:
    """The standing of each point among those of its contest; None for one that lacks a time or another of
    the values, such as a failed one."""
    found: list[Standing | None] = [None] * len(points)
    for positions in _contests(points, of):
        among = [points[position] for position in positions]
        for position, point, beaten in zip(positions, among, _beaten(among, of, of), strict=True):
            if not beaten:
                found[position] = Standing.UNBEATEN
            else:
                found[position] = Standing.UNSURE if point.unsteady else Standing.BEATEN
    return found


def near_front(points: Sequence[MeasuredPoint], margin: float) -> list[int]:
    """Places of the timed points that may be on the front of accuracy and latency once all are tuned.

    A point is left out where another of its contest beats it by its latency even if tuning gains it `margin`
    times as much, of 1 or more, as the other. Tuning leaves the accuracy as it is.
    """
    of, found = (ACCURACY, LATENCY), []
    for positions in _contests(points, of):
        beaten = _beaten([points[position] for position in positions], of, [LATENCY], margin)
        found += [position for position, ruled_out in zip(positions, beaten, strict=True) if not ruled_out]
    return sorted(found)


def _contests(points: Sequence[MeasuredPoint], of: Sequence[Aim]) -> list[list[int]]:
    """Places of the points that have a time and all of the values, by their contest."""
    found: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for position, point in enumerate(points):
        if point.timed and all(aim.value(point) is not None for aim in of):
            found[contest(point)].append(position)
    return [*found.values()]


def _beaten(
    points: Sequence[MeasuredPoint], of: Sequence[Aim], by: Sequence[Aim], margin: float = 1.0
) -> list[bool]:
    """Whether another of the points beats each of them even with a latency that is `margin` times as long: it
    is at least as good in everything, and in something of `by` by more than the measurement leaves open."""
    bounds = [[_bounds(aim, point) for aim in of] for point in points]
    low, value, high = (np.array([[one[part] for one in row] for row in bounds]) for part in range(3))
    handicap = np.array([margin if aim is LATENCY else 1.0 for aim in of])
    decides = np.array([aim in by for aim in of])
    others, most = value * handicap, high * handicap
    return [
        bool(np.any(np.all(others <= value[each], axis=1) & np.any((most < low[each]) & decides, axis=1)))
        for each in range(len(points))
    ]


def _bounds(aim: Aim, point: MeasuredPoint) -> tuple[float, float, float]:
    value, interval = aim.value(point), aim.interval(point)
    assert value is not None
    return (value, value, value) if interval is None else (interval.low, value, interval.high)
