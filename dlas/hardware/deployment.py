"""A library in a fresh process: what it answers, how long it takes. A crash there costs nothing here.

    run(library, inputs (N, C, H, W), target) -> outputs (N, …)
    measure(library, inputs, target, config.Timing) -> measurement.Measurement

`library` is an exported Relax VM executable with one entry `main(tensor (1, C, H, W)) -> tensor`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

import dlas
from dlas import config
from dlas.errors import UserError
from dlas.hardware import measurement
from dlas.hardware.measurement import Measurement
from dlas.hardware.target import Target, require_fit, usable_cores

log = logging.getLogger(__name__)

TIME_LIMIT_SECONDS = 3600.0
"""A process that takes longer hangs: the slowest network here, unscheduled, needs minutes for 150 runs."""

LOCK_POLL_SECONDS = 0.5
"""A waiting process that looks more often would disturb the one that is timing."""

CRASHES = MappingProxyType(
    {
        signal.SIGILL: "it met an instruction that this CPU does not have",
        signal.SIGSEGV: "it read or wrote memory that is not its own",
        signal.SIGBUS: "its file is cut short, or it read memory that is not there",
        signal.SIGFPE: "it divided by zero",
        signal.SIGABRT: "it aborted",
        signal.SIGKILL: "the system killed it, most often for want of memory",
    }
)


def run(
    library: Path, inputs: np.ndarray, target: Target, *, time_limit: float = TIME_LIMIT_SECONDS
) -> np.ndarray:
    """The outputs (N, …) for `inputs` (N, C, H, W), run one at a time in a fresh process.

    Raises UserError where the library doesn't fit this machine, can't be loaded, crashes, or takes longer
    than `time_limit` seconds.
    """
    require_fit(target)
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        order = {"command": "compute"}
        result = session_result(Path(folder), "outputs.npy", target, library, inputs, order, time_limit)
        outputs: np.ndarray = np.load(result, allow_pickle=False)
    return outputs


def measure(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    protocol: config.Timing,
    *,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Measurement:
    """The latency of the first of `inputs` by `protocol`, in a fresh process that holds the board alone.

    Waits while another process times on this machine. Raises UserError as `run` does.
    """
    require_fit(target)
    order = {"command": "time", "runs": protocol.runs, "warmup": protocol.warmup}
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder, exclusive_board():
        result = session_result(Path(folder), "session.json", target, library, inputs[:1], order, time_limit)
        session = measurement.session(json.loads(result.read_text()))
    return Measurement(protocol.runs, protocol.warmup, threads(target), (session,))


def threads(target: Target) -> int:
    """The target's cores, as far as this process may use as many."""
    return min(target.cores, usable_cores())


@contextmanager
def exclusive_board() -> Iterator[None]:
    """One timing at a time on this machine, whoever asks; the lock of a process that dies is free again."""
    lock = FileLock(board_lock(), mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("waiting: another process is timing on this machine")
        lock.acquire(poll_interval=LOCK_POLL_SECONDS)
    except OSError as error:
        raise UserError(
            f"the lock of this machine can't be opened: {error}",
            key=lock.lock_file,
            remedy="Every timing on this machine has to be able to write it.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def board_lock() -> Path:
    """The lock file of this machine. Its folder is everybody's: in /tmp itself the kernel keeps users from
    opening each other's files (fs.protected_regular)."""
    folder = Path(tempfile.gettempdir()) / "dlas"
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    return folder / "board.lock"


def session_result(
    folder: Path,
    result: str,
    target: Target,
    library: Path,
    inputs: np.ndarray,
    order: Mapping[str, Any],
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Path:
    """The file `result` in `folder`, as a fresh process made it of `order` (see dlas.hardware.session).

    Raises UserError as `run` does.
    """
    np.save(folder / "inputs.npy", inputs, allow_pickle=False)
    request = {
        **order,
        "library": os.fspath(library.absolute()),
        "inputs": os.fspath(folder / "inputs.npy"),
        "result": os.fspath(folder / result),
    }
    (folder / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "dlas.hardware.session", os.fspath(folder / "request.json")]
    try:
        ended = subprocess.run(
            command,
            env=_environment(target),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"the library did not finish within {time_limit:g} s and was stopped",
            key=os.fspath(library),
        ) from None
    if ended.returncode != 0 or not (folder / result).exists():
        raise UserError(_failure(ended), key=os.fspath(library))
    return folder / result


def _environment(target: Target) -> dict[str, str]:
    packages = os.fspath(Path(dlas.__file__).resolve().parent.parent)
    searched = os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")]))
    confined = usable_cores() < (os.cpu_count() or 1)
    return {
        **os.environ,
        "PYTHONPATH": searched,
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_NUM_THREADS": str(threads(target)),
        # TVM binds its threads to cores counted from 0, even where this process may only run on others.
        **({"TVM_BIND_THREADS": "0"} if confined else {}),
    }


def _failure(ended: subprocess.CompletedProcess[str]) -> str:
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode == 0:
        return "the library ended its process before it had given its outputs"
    if ended.returncode < 0:
        crash = signal.Signals(-ended.returncode)
        return f"the library crashed ({crash.name}): {CRASHES.get(crash, 'it was stopped')}"
    return f"the library could not be run: {said[-1] if said else f'exit code {ended.returncode}'}"
