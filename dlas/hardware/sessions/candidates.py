"""Candidates for one kernel, checked and timed in the fresh process: see dlas.hardware.timing.candidates.

Each is its own library with a function `main`. Which one is running is told in a file, so that the asker
knows which it was if this process crashes or hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions import repeated, tvm_runtime
from dlas.hardware.sessions.single_kernels import relative_error, tensors

MIN_TURN_NS = 8_000_000
"""Minimum run time of a candidate in one round, together with `MIN_TURN_RUNS`: 8 ms."""

MIN_TURN_RUNS = 3
"""Minimum number of runs of a candidate in one round. The run before them, whose caches hold another's
data, is not kept."""


def checked_and_timed(
    libraries: Sequence[Path], arguments: Path, tolerance: float, turns: int, running: Path
) -> list[dict[str, Any]]:
    """The `relative_error` of every candidate, its largest difference from the first one's output over the
    largest output, and its `samples_ns`, which are empty where the error is beyond `tolerance`.

    `arguments` is an .npz; its last array is the output. `running` gets the number of the candidate in turn.
    """
    given = tensors(arguments)
    found: list[dict[str, Any]] = []
    kernels: list[Callable[..., None]] = []
    outputs: list[np.ndarray] = []
    for number, library in enumerate(libraries):
        running.write_text(str(number))
        kernels.append(tvm_runtime.loaded(library)["main"])
        kernels[-1](*given)
        outputs.append(tvm_runtime.array(given[-1]).astype("float64"))
        error = relative_error(outputs[-1], outputs[0])
        found.append({"relative_error": error, "samples_ns": []})
    right = [number for number, one in enumerate(found) if one["relative_error"] <= tolerance]
    for _ in range(turns):
        for number in right:
            running.write_text(str(number))
            found[number]["samples_ns"] += repeated.samples_ns(
                kernels[number], given, MIN_TURN_RUNS, MIN_TURN_NS
            )
    return found
