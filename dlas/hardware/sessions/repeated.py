"""Runs of one kernel, repeated until they are enough to take a median of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any


def samples_ns(kernel: Callable[..., None], arguments: Sequence[Any], runs: int, total_ns: int) -> list[int]:
    """The nanoseconds of at least so many runs, which took at least `total_ns` together. A run before them,
    whose caches hold another's data, is not kept."""
    kernel(*arguments)
    samples: list[int] = []
    taken = 0  # summing all samples again for each took 20 s of a kernel of 0.3 µs
    while len(samples) < runs or taken < total_ns:
        samples.append(nanoseconds(kernel, *arguments))
        taken += samples[-1]
    return samples


def nanoseconds(kernel: Callable[..., None], *arguments: Any) -> int:
    """The nanoseconds of one run."""
    start = time.perf_counter_ns()
    kernel(*arguments)
    return time.perf_counter_ns() - start
