"""The numbers that a sweeper is told of a point which it searches by; less is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dlas.tracking.store import Record

VALUES: Mapping[str, Callable[[Mapping[str, float]], float]] = {
    "latency_ms": lambda metrics: metrics["latency.median_ms"],
    "top1_error": lambda metrics: 1 - metrics["accuracy.deployed"],
    "size_bytes": lambda metrics: metrics["library.bytes"],
}
"""Each objective of `config.stack.OBJECTIVES`, of the metrics of a run."""


def values(point: Record, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """The point's values; None where it was not finished, which a sweeper takes for a failure."""
    if point.status != "FINISHED":
        return None
    return tuple(VALUES[name](point.metrics) for name in objectives)
