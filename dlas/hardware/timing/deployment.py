"""Run a library in a fresh process of its board, for its outputs or for what a session finds.

    run(library, inputs (N, C, H, W), target, batch) -> outputs (N, …)
    session_result(folder, result, target, library, inputs, order) -> the file that the session wrote

`library` is what a compiler wrote: TVM a file, an exported Relax VM executable with one entry
`main(tensor (batch, C, H, W)) -> tensor`, any other a folder of its files. `runner` is the name of the
compiler.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.boards import board_client, lock
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.process import run_session
from dlas.hardware.targets.fitting import require_fit
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers

TIME_LIMIT_SECONDS = 3600.0
"""Time limit of a process, after which it is taken to hang: the slowest network here, unscheduled, needs
minutes for 150 runs."""


def run(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    batch: int = 1,
    *,
    runner: str = runners.TVM,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> np.ndarray:
    """The outputs (N, …) for `inputs` (N, C, H, W), run `batch` at a time in a fresh process.

    Raises UserError where the library doesn't fit its board, can't be loaded, crashes, or takes longer than
    `time_limit` seconds; and where the board can't be reached, or is lost on the way.
    """
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        order = {"command": "compute", "batch": batch, "runner": runner}
        result = session_result(Path(folder), "outputs.npy", target, library, inputs, order, time_limit)
        outputs: np.ndarray = np.load(result, allow_pickle=False)
    return outputs


def data_types(library: Path, inputs: np.ndarray, target: Target, *, runner: str) -> dict[str, str]:
    """The data type that each operator of an int8 network reads, as its runtime tells them of a run of all
    `inputs` (N, C, H, W): see dlas.interfaces.runner.Int8Runner. Raises UserError as `run` does."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        order = {"command": "data_types", "runner": runner}
        result = session_result(Path(folder), "data_types.json", target, library, inputs, order)
        told: dict[str, str] = json.loads(result.read_text())
    return told


def exclusive_board(target: Target | None = None) -> AbstractContextManager[None]:
    """Keep other timings on this machine out of the block, whoever asks; a board elsewhere
    sees to that itself."""
    elsewhere = target is not None and not target.reach.is_local
    return nullcontext() if elsewhere else lock.held(lock.THIS_MACHINE, "this machine")


def require_board(target: Target, runner: str = runners.TVM) -> Mapping[str, str]:
    """The versions of the packages by which a board elsewhere runs what the compiler of that name wrote; none
    of TVM's, and none of this machine's, which are in the keys of stages anyway.

    UserError unless the target's board is there, can run what is made for the target, and has that runtime.
    """
    if not target.reach.is_local:
        return board_client.require_board(target, runner)
    require_fit(target.code)
    if runner != runners.TVM:
        compilers.require_installed(runner, "compiler")
    return {}


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
        return board_client.session_result(folder, result, target, library, order, time_limit)
    require_fit(target.code)
    request = {
        **order,
        "library": os.fspath(library.absolute()),
        "inputs": os.fspath(folder / "inputs.npy"),
        "result": os.fspath(folder / result),
    }
    run_session(request, folder, time_limit)
    return folder / result
