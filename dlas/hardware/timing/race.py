"""Time several libraries of one network against each other, in one fresh process, taking turns.

Sessions differ by more than what one of them varies by, so libraries that are to be compared share one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlas.hardware.results import statistics
from dlas.hardware.timing.deployment import exclusive_board, session_result
from dlas.hardware.timing.single_kernels import NS_PER_MS, KernelTime
from dlas.interfaces.targets.target import Target

RUNS = 3
"""Runs of each library in a turn: few, so that the next ones' turns find the machine's pace the same."""


@dataclass(frozen=True)
class Contender:
    """The times of one library in a race."""

    median_ms: float
    """Milliseconds of the whole network."""
    calls: list[KernelTime]
    """Times of every kernel call, in order."""


def race(libraries: Sequence[Path], inputs: np.ndarray, target: Target) -> list[Contender]:
    """The times of each library on the first of `inputs`; UserError where one of them crashes."""
    order = {"command": "race", "libraries": [os.fspath(path.absolute()) for path in libraries], "runs": RUNS}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board(target):
        result = session_result(Path(folder), "race.json", target, libraries[0], inputs[:1], order)
        found = json.loads(result.read_text())
    return [
        Contender(
            median_ms=statistics.median(library["samples_ns"]) / NS_PER_MS,
            calls=[
                KernelTime(call["kernel"], statistics.median(call["samples_ns"]) / NS_PER_MS)
                for call in library["calls"]
            ],
        )
        for library in found
    ]
