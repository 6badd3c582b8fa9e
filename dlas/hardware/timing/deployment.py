"""Run a library in a fresh process of its board, for its outputs or for its times.

    run(library, inputs (N, C, H, W), target, batch) -> outputs (N, …)
    measure(library, inputs, target, config.Timing, Yardstick | None) -> measurement.Measurement

`library` is an exported Relax VM executable with one entry `main(tensor (batch, C, H, W)) -> tensor`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dlas import config
from dlas.hardware.boards import lock, remote
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.sessions.process import run_session
from dlas.hardware.targets.fitting import require_fit
from dlas.interfaces.targets.target import Target

TIME_LIMIT_SECONDS = 3600.0
"""Time limit of a process, after which it is taken to hang: the slowest network here, unscheduled, needs
minutes for 150 runs."""


ONLY_ONE: Mapping[int, Path] = MappingProxyType({})
"""Libraries for larger batches: none."""


@dataclass(frozen=True)
class Yardstick:
    """A small network that is always the same, built for the target."""

    library: Path
    inputs: np.ndarray
    """Input of the network: (1, C, H, W)."""


def run(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    batch: int = 1,
    *,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> np.ndarray:
    """The outputs (N, …) for `inputs` (N, C, H, W), run `batch` at a time in a fresh process.

    Raises UserError where the library doesn't fit its board, can't be loaded, crashes, or takes longer than
    `time_limit` seconds; and where the board can't be reached, or is lost on the way.
    """
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        order = {"command": "compute", "batch": batch}
        result = session_result(Path(folder), "outputs.npy", target, library, inputs, order, time_limit)
        outputs: np.ndarray = np.load(result, allow_pickle=False)
    return outputs


def measure(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    protocol: config.Timing,
    yardstick: Yardstick | None = None,
    larger: Mapping[int, Path] = ONLY_ONE,
    *,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Measurement:
    """The latency of the first of `inputs` by `protocol`, in fresh processes that hold the board alone.

    `larger` holds libraries for larger batches of them, by size, timed likewise. Sessions of `yardstick`,
    where there is one, and of all libraries take turns. Waits while another process times on the board.
    Raises UserError as `run` does.
    """
    order = {"command": "time", "runs": protocol.runs, "warmup": protocol.warmup, "cold": protocol.cold}

    def session(library: Path, inputs: np.ndarray, order: Mapping[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
            result = session_result(Path(folder), "session.json", target, library, inputs, order, time_limit)
            found: dict[str, Any] = json.loads(result.read_text())
            return found

    libraries = {1: library, **larger}
    beside: list[dict[str, Any]] = []
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in libraries}
    with exclusive_board(target):
        for _ in range(protocol.sessions):
            if yardstick is not None:
                beside.append(session(yardstick.library, yardstick.inputs, {**order, "cold": 0}))
            for size, built in libraries.items():
                images = np.resize(inputs, (size, *inputs.shape[1:]))
                found[size].append(session(built, images, order))
    return measurement.of_sessions(found, beside, protocol, emulated=target.placement.emulated)


def exclusive_board(target: Target | None = None) -> AbstractContextManager[None]:
    """Keep other timings on this machine out of the block, whoever asks; a board elsewhere
    sees to that itself."""
    elsewhere = target is not None and not target.reach.is_local
    return nullcontext() if elsewhere else lock.held(lock.THIS_MACHINE, "this machine")


def require_board(target: Target) -> None:
    """UserError unless the target's board is there and can run what is made for the target."""
    if target.reach.is_local:
        require_fit(target.code)
    else:
        remote.require_board(target)


def session_result(
    folder: Path,
    result: str,
    target: Target,
    library: Path,
    inputs: np.ndarray,
    order: Mapping[str, Any],
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Path:
    """The file `result` in `folder`, as a fresh process made it of `order` (dlas.hardware.sessions.session).

    Raises UserError as `run` does.
    """
    np.save(folder / "inputs.npy", inputs, allow_pickle=False)
    placement = target.placement
    order = {**order, "cores": placement.threads, "affinity": list(placement.affinity), "smt": placement.smt}
    order["device"] = target.code.kind
    if not target.reach.is_local:
        return remote.session_result(folder, result, target, library, order, time_limit)
    require_fit(target.code)
    request = {
        **order,
        "library": os.fspath(library.absolute()),
        "inputs": os.fspath(folder / "inputs.npy"),
        "result": os.fspath(folder / result),
    }
    run_session(request, folder, time_limit)
    return folder / result
