"""Another process on the machine that computes now and then, as that of somebody who shares it does."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

SECONDS = 2.0
"""Mean length of a time in which it computes, and of one in which it does not: exponential, so that none
follows from the one before."""

VALUES = 1 << 20
"""Values of the array that it works on, of 4 bytes each: they fill a second-level cache."""


@contextmanager
def sharing_the_machine() -> Iterator[None]:
    """Have a neighbour compute meanwhile, by one thread, half of the time."""
    neighbour = multiprocessing.get_context("spawn").Process(target=_compute_now_and_then, daemon=True)
    neighbour.start()
    try:
        yield
    finally:
        neighbour.terminate()
        neighbour.join()


def _compute_now_and_then() -> None:
    random = np.random.default_rng(0)
    array = np.zeros(VALUES, np.float32)
    while True:
        end = time.monotonic() + random.exponential(SECONDS)
        while time.monotonic() < end:
            array += 1
        time.sleep(random.exponential(SECONDS))
