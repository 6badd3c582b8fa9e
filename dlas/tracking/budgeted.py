"""Which points of a grid are worth tuning, by what they were untuned."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.tracking.store import Record

ALIKE = ("dataset.name", "target.name")
"""Settings without which two points are in no one front."""


def near_front(points: Sequence[Record], margin: float) -> list[int]:
    """Places of the finished points that may be on the front of accuracy and latency once all are tuned.

    A point is left out where another one is no less accurate, and faster even if tuning gains the first one
    `margin` times as much as the other: by the near ends of the intervals of their medians. Tuning leaves the
    accuracy as it is.
    """
    timed = [place for place, point in enumerate(points) if point.status == "FINISHED"]
    return [
        place
        for place in timed
        if not any(_rules_out(points[other], points[place], margin) for other in timed if other != place)
    ]


def _rules_out(better: Record, point: Record, margin: float) -> bool:
    if any(better.params[key] != point.params[key] for key in ALIKE):
        return False
    return (
        better.metrics["accuracy.deployed"] >= point.metrics["accuracy.deployed"]
        and better.metrics["latency.ci_high_ms"] * margin < point.metrics["latency.ci_low_ms"]
    )
