"""Timing functions against each other in one process, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

PAUSE_SECONDS = 0.3
"""Before each block of runs: long enough for another library's idle threads to stop spinning."""


def in_turn(
    functions: Sequence[Callable[[], object]], runs: int, rounds: int = 7, pause: float = PAUSE_SECONDS
) -> list[float]:
    """The median milliseconds of each, over `rounds` blocks of `runs` taken in turn; before each block a
    pause, and calls that are not timed for as long, as a core that idled takes its time to be fast again."""
    samples: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, samples, strict=True):
            time.sleep(pause)
            warm = time.perf_counter() + pause
            function()
            while time.perf_counter() < warm:
                function()
            for _ in range(runs):
                start = time.perf_counter()
                function()
                taken.append((time.perf_counter() - start) * 1e3)
    return [median(taken) for taken in samples]
