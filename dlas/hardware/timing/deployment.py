"""Run a library in a fresh process of its board, for its outputs or for what a session finds.

    run(library, inputs (N, C, H, W), target, batch) -> outputs (N, …)
    session_result(folder, result, target, library, inputs, order) -> the file that the session wrote
    results_in_turn(folder, target, [Session, …], turns) -> the files that several sessions wrote

`library` is what a compiler wrote: TVM a file, an exported Relax VM executable with one entry
`main(tensor (batch, C, H, W)) -> tensor`, any other a folder of its files. `runner` is the name of the
compiler.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.boards import board_client, lock
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.process import run_in_turn, run_session
from dlas.hardware.targets.fitting import require_fit
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers

TIME_LIMIT_SECONDS = 3600.0
"""Time limit of a process, after which it is taken to hang: the slowest network here, unscheduled, needs
minutes for 150 runs."""


INPUTS, RESULT = "inputs.npy", "session.json"
"""Names of a session's files."""


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


@dataclass(frozen=True)
class Session:
    """A session to be: what `session_result` takes."""

    library: Path
    inputs: np.ndarray
    order: Mapping[str, Any]


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
    session = Session(library, inputs, order)
    if not target.reach.is_local:
        np.save(folder / INPUTS, inputs, allow_pickle=False)
        return board_client.session_result(
            folder, result, target, library, _placed(order, target), time_limit
        )
    require_fit(target.code)
    run_session(_request(session, folder, result, target), folder, time_limit)
    return folder / result


def results_in_turn(
    folder: Path,
    target: Target,
    sessions: Sequence[Session],
    turns: int,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> list[Path]:
    """The files of several sessions, each in a folder of its own in `folder`. Their processes are alive at
    once and take their samples in so many turns; of one turn each, a session begins when the one before has
    ended. Boards elsewhere know of one turn alone.

    Raises UserError as `run` does.
    """
    folders = [folder / str(place) for place in range(len(sessions))]
    for one in folders:
        one.mkdir()
    pairs = list(zip(sessions, folders, strict=True))
    if turns == 1:
        return [
            session_result(own, RESULT, target, one.library, one.inputs, one.order, time_limit)
            for one, own in pairs
        ]
    require_fit(target.code)
    run_in_turn([_request(one, own, RESULT, target) for one, own in pairs], folders, turns, time_limit)
    return [own / RESULT for own in folders]


def _placed(order: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The order, with where its session may compute."""
    placement = target.placement
    return {
        **order,
        "cores": placement.threads,
        "affinity": list(placement.affinity),
        "smt": placement.smt,
        "device": target.code.kind,
    }


def _request(session: Session, folder: Path, result: str, target: Target) -> dict[str, Any]:
    """The request for a session on this machine, whose inputs are written to the folder."""
    np.save(folder / INPUTS, session.inputs, allow_pickle=False)
    return {
        **_placed(session.order, target),
        "library": os.fspath(session.library.absolute()),
        "inputs": os.fspath(folder / INPUTS),
        "result": os.fspath(folder / result),
    }
