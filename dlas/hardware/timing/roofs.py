"""Measure what a board has at most, in a fresh process: its peak of arithmetic, its bandwidth of memory.

measure(library, peaks, target) -> Roofs
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dlas.hardware.results import roofs
from dlas.hardware.results.roofs import Roofs
from dlas.hardware.timing.deployment import exclusive_board, session_result
from dlas.interfaces.targets.target import Target

FLOAT32, INT8, READ, TRIAD = "float32", "int8", "read", "triad"
"""Names of the kernels in the library."""

STREAM_BLOCK = 128
"""Values of float32 in a block of the arrays that are streamed: several registers of any CPU."""

TIME_LIMIT_SECONDS = 120.0
"""Time limit of the whole measurement, with the start of the process: it takes a second on a fast board."""


@dataclass(frozen=True)
class Peak:
    """An arithmetic kernel."""

    name: str
    dtype: str
    """Data type of its operands and sums."""
    operands: int
    """Number of its operands, which all threads share."""
    sums: int
    """Number of sums of a thread."""
    operations: int
    """Operations of a thread in a round; a multiplication with its addition is two."""


def measure(library: Path, peaks: Sequence[Peak], target: Target) -> Roofs:
    """The roofs of the target's board, which is held alone meanwhile.

    Raises UserError as `dlas.hardware.timing.deployment.run` does.
    """
    order = {"command": "roofs", "peaks": [asdict(peak) for peak in peaks], "block": STREAM_BLOCK}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board(target):
        nothing = np.zeros(0)
        result = session_result(
            Path(folder), "roofs.json", target, library, nothing, order, TIME_LIMIT_SECONDS
        )
        return roofs.of_session(json.loads(result.read_text()))
