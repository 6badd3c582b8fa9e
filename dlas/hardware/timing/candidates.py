"""Time candidates for one kernel in a fresh process: beside the kernel that they would replace,
or one by itself.

    time_candidates(replaced, candidates, arguments, tolerance, target, turns) -> [Timed | Failed]
    time_alone(library, arguments, target) -> seconds | Failed

Both run on the target's board.

A candidate that crashes or hangs takes its process with it, and the others are run again without it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlas.errors import UserError
from dlas.hardware.results import statistics
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.timing.deployment import session_result
from dlas.hardware.timing.single_kernels import KernelArgument, KernelRun, time_kernels
from dlas.interfaces.targets.target import Target

TURNS = 4
"""Rounds over the candidates, which take turns: what else the machine does comes and goes."""

TIME_LIMIT_SECONDS = 60.0
"""Time limit of all candidates together, with the start of the process; after it, the one in turn
is taken to hang."""

ALONE_SECONDS = 120.0
"""Time limit of one candidate by itself, with the start of a process on a slow board."""

NS_PER_SECOND = 1e9
MS_PER_SECOND = 1e3

ARGUMENTS, RUNNING = "arguments.npz", "running"
"""Files in the folder where the process works: the arguments that it is given, and the number of the
candidate in turn."""


@dataclass(frozen=True)
class Timed:
    """Medians of a candidate and of the kernel that it would replace, run in turn."""

    seconds: float
    replaced_seconds: float


@dataclass(frozen=True)
class Failed:
    """A candidate that crashed, did not end in time, or gave other outputs."""

    reason: str


def time_candidates(
    replaced: Path,
    candidates: Sequence[Path],
    arguments: Sequence[np.ndarray],
    tolerance: float,
    target: Target,
    turns: int = TURNS,
) -> list[Timed | Failed]:
    """The times of each candidate in so many `turns`, or its failure; the caller holds the board where it
    is this machine.

    All are libraries with a function `main` of `arguments`, of which the last is the output; that of a
    candidate may be off by `tolerance` of the largest output. UserError where the replaced kernel fails, or a
    board elsewhere is lost.
    """
    failed: dict[Path, Failed] = {}
    with tempfile.TemporaryDirectory(prefix="dlas-") as scratch:
        folder = Path(scratch)
        np.savez(folder / ARGUMENTS, *arguments)
        order = {
            "command": "candidates",
            "arguments": ARGUMENTS,
            "running": RUNNING,
            "tolerance": tolerance,
            "turns": turns,
        }
        while True:
            libraries = [replaced, *(path for path in candidates if path not in failed)]
            found = _run(folder, libraries, order, target)
            if not isinstance(found, _Stopped):
                break
            if found.library == replaced:
                raise UserError(found.reason, key=os.fspath(replaced))
            failed[found.library] = Failed(found.reason)
    return [failed[path] if path in failed else found[path] for path in candidates]


def time_alone(library: Path, arguments: Sequence[KernelArgument], target: Target) -> float | Failed:
    """The median seconds of the library's `main` on random arguments; UserError where the board is lost."""
    run = KernelRun("main", tuple(arguments))
    try:
        (milliseconds,) = time_kernels(library, [run], target, time_limit=ALONE_SECONDS).medians_ms
    except LibraryFailed as error:
        return Failed(error.problem)
    return milliseconds / MS_PER_SECOND


@dataclass(frozen=True)
class _Stopped:
    """The end of a process by one of its libraries."""

    library: Path
    reason: str


def _run(
    folder: Path, libraries: Sequence[Path], order: Mapping[str, object], target: Target
) -> dict[Path, Timed | Failed] | _Stopped:
    running = folder / RUNNING
    running.write_text("0")
    try:
        results = _session(folder, libraries, order, target)
    except LibraryFailed as error:
        if target.reach.is_local:
            return _Stopped(libraries[int(running.read_text())], error.problem)
        return _Stopped(_guilty(folder, libraries, order, target), error.problem)
    medians = [
        statistics.median(one["samples_ns"]) / NS_PER_SECOND if one["samples_ns"] else None for one in results
    ]
    return {
        library: Failed(f"its output is wrong by {one['relative_error']:.1g} of the largest")
        if median is None or medians[0] is None
        else Timed(median, medians[0])
        for library, one, median in zip(libraries, results, medians, strict=True)
    }


def _session(
    folder: Path, libraries: Sequence[Path], order: Mapping[str, object], target: Target
) -> list[dict[str, Any]]:
    """The results of each library in a process; UserError where it stops."""
    order = {**order, "libraries": [os.fspath(path.absolute()) for path in libraries]}
    path = session_result(
        folder, "candidates.json", target, libraries[0], np.zeros(0), order, TIME_LIMIT_SECONDS
    )
    results: list[dict[str, Any]] = json.loads(path.read_text())
    return results


def _guilty(folder: Path, libraries: Sequence[Path], order: Mapping[str, object], target: Target) -> Path:
    """The library that made the process stop, on a board that does not tell: the first that does so again
    beside the replaced one. UserError where the board is lost."""
    replaced, *candidates = libraries
    for tried in ([replaced], *([replaced, candidate] for candidate in candidates)):
        try:
            _session(folder, tried, order, target)
        except LibraryFailed:
            return tried[-1]
    return libraries[-1]
