"""Points whose latencies follow a rule that the test knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from dlas.analysis.measured_point import MeasuredPoint

Rule = Callable[[Mapping[str, str]], float]
"""The log latency of a combination of choices."""

PLAIN = {
    "dataset": "digits",
    "model": "resnet18",
    "compression": "none",
    "algo": "direct",
    "format": "dense",
    "compiler": "tvm",
    "tuner": "none",
    "target": "host",
}


def point(
    *medians_ms: float, status: str = "FINISHED", more: Mapping[str, Any] | None = None, **choices: str
) -> MeasuredPoint:
    """A point with these choices, all others plain, and these medians of its sessions."""
    chosen = {**PLAIN, **choices}
    name = " ".join(f"{key}={value}" for key, value in chosen.items() if PLAIN.get(key) != value) or "plain"
    return MeasuredPoint(
        run_id=f"run of {name}",
        name=name,
        status=status,
        choices=chosen,
        session_medians_ms=medians_ms,
        **(more or {}),
    )


def grid(
    levels: Mapping[str, Sequence[str]],
    rule: Rule,
    *,
    sessions: int = 5,
    noise: float = 0.02,
    seed: int = 0,
    without: Callable[[Mapping[str, str]], bool] = lambda choices: False,
) -> list[MeasuredPoint]:
    """A point for every combination but those left out; sessions scatter by `noise`, as a standard deviation
    of the log latency."""
    generator = np.random.default_rng(seed)
    found = []
    for combination in product(*levels.values()):
        choices = dict(zip(levels, combination, strict=True))
        logs = rule(choices) + generator.normal(0, noise, sessions)
        if not without(choices):
            found.append(point(*(math.exp(log) for log in logs), **choices))
    return found
