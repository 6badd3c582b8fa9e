"""Single kernels in a fresh process: how far two of them are apart, or the time of each, alone or as the
whole network calls it.

relative_errors(library, pairs, target) -> [error]         a plain library of PrimFuncs
time_kernels(library, kernels, target) -> KernelTimes      a plain library of PrimFuncs
profile(library, inputs, target, runs) -> [KernelTime]     a network's library, kernel by kernel
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dlas.hardware.results import statistics
from dlas.hardware.targets import steadiness
from dlas.hardware.targets.steadiness import Unsteadiness
from dlas.hardware.timing.deployment import TIME_LIMIT_SECONDS, exclusive_board, session_result
from dlas.interfaces.targets.target import Target

NS_PER_MS = 1e6


@dataclass(frozen=True)
class KernelArgument:
    """A tensor that a kernel takes."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class KernelPair:
    """Two kernels with the same arguments, the last of which is their output."""

    first: str
    second: str
    arguments: Sequence[np.ndarray]


@dataclass(frozen=True)
class KernelRun:
    """A kernel with its arguments, the last of which is its output."""

    name: str
    arguments: tuple[KernelArgument, ...]


@dataclass(frozen=True)
class KernelTime:
    """The time of one kernel call of a network."""

    kernel: str
    median_ms: float


@dataclass(frozen=True)
class KernelTimes:
    """The times of kernels that ran alone, and the reasons to doubt them."""

    medians_ms: list[float]
    unsteadiness: tuple[Unsteadiness, ...]


def relative_errors(library: Path, pairs: Sequence[KernelPair], target: Target) -> list[float]:
    """Largest difference of the outputs of each pair, over the first kernel's largest output; UserError where
    one crashes."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        order = {"command": "relative_errors", "pairs": [_order(pair, Path(folder)) for pair in pairs]}
        result = session_result(Path(folder), "errors.json", target, library, np.zeros(0), order)
        found: list[float] = json.loads(result.read_text())
    return found


def _order(pair: KernelPair, folder: Path) -> dict[str, str]:
    """The pair as the fresh process is told of it, with its arguments in a file."""
    arguments = folder / f"{pair.first}.npz"
    np.savez(arguments, *pair.arguments)
    return {"first": pair.first, "second": pair.second, "arguments": arguments.name}


def time_kernels(
    library: Path,
    kernels: Sequence[KernelRun],
    target: Target,
    *,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> KernelTimes:
    """The times of each kernel, alone; UserError where one crashes, or all take longer than `time_limit`
    seconds."""
    order = {"command": "kernels", "kernels": [asdict(kernel) for kernel in kernels]}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board(target):
        result = session_result(Path(folder), "kernels.json", target, library, np.zeros(0), order, time_limit)
        found = json.loads(result.read_text())
    medians = [statistics.median(samples) / NS_PER_MS for samples in found["found"]]
    return KernelTimes(medians, steadiness.told_unsteadiness(found))


def profile(library: Path, inputs: np.ndarray, target: Target, runs: int) -> list[KernelTime]:
    """The time of every call that `main` makes, for the first of `inputs`: medians over `runs` runs."""
    order = {"command": "profile", "runs": runs}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board(target):
        result = session_result(Path(folder), "profile.json", target, library, inputs[:1], order)
        calls = json.loads(result.read_text())
    return [KernelTime(call["kernel"], statistics.median(call["samples_ns"]) / NS_PER_MS) for call in calls]
