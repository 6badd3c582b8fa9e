"""SLURM, where submitit leaves it to the command and its jobs: how it ends a job, and jobs that wait."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dlas.errors import UserError
from dlas.processes.stopping import Stopped

LIMIT_REACHED = signal.SIGUSR2
"""What submitit has SLURM send `hydra.launcher.signal_delay_s` before the end of a job's time."""

ENDS = (signal.SIGTERM, LIMIT_REACHED)
JOBS = ".submitit"
"""Folder below that of a command, with one of each job, named by the job's id."""

POLL_SECONDS = 10.0
"""Time between two questions to SLURM, which many people ask."""

log = logging.getLogger("dlas.run")


class _TimeIsOver(BaseException):
    """No Exception: nothing on the way may take it for a failure of its own."""


@contextmanager
def ending_as_told(start_processes: Callable[[], object]) -> Iterator[None]:
    """Have SLURM's signals end the work in the block: UserError where the job comes to its time limit and is
    not to be queued again, Stopped where it is cancelled.

    SLURM sends them to every process of a job. Those that `start_processes` starts, and what they fork, pass
    them over: else they die first, and it seems that they crashed.
    """
    handlers = {each: signal.getsignal(each) for each in ENDS}
    queue_again = handlers[LIMIT_REACHED]

    def limit_reached(number: int, frame: FrameType | None) -> None:
        try:
            if callable(queue_again):
                # submitit's, which ends the process where it has queued the job again
                queue_again(number, frame)
        except Exception as refusal:
            raise _TimeIsOver from refusal

    def cancel(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # it comes twice, and the second one would spoil the closing
        raise Stopped(number)

    signal.signal(LIMIT_REACHED, limit_reached)
    signal.signal(signal.SIGTERM, cancel)
    try:
        passed_over = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            start_processes()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, passed_over)
        yield
    except _TimeIsOver:
        problem = "its job came to the time limit"
        remedy = "more minutes; the same command goes on from what was saved"
        raise UserError(problem, key="hydra.launcher.timeout_min", remedy=remedy) from None
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


def is_begun_again() -> bool:
    """Whether SLURM has begun this job before: its machine was lost, or somebody had it queued again."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def cancel_waiting(folder: Path) -> None:
    """Cancel the jobs of the command with that folder which have not begun; a warning where that fails."""
    try:
        waiting = sorted(_queued(folder, "--states=PENDING"))
        if waiting:
            _asked("scancel", *waiting)
    except subprocess.CalledProcessError as error:
        log.warning("jobs may still wait: %s", error.stderr.strip())


def wait_for_all(folder: Path) -> None:
    """Wait until no job of the command with that folder waits or runs. SLURM may not answer for a while."""
    while True:
        try:
            if not _queued(folder):
                return
        except subprocess.CalledProcessError as error:
            log.debug("squeue: %s", error.stderr.strip())
        time.sleep(POLL_SECONDS)


def _queued(folder: Path, *which: str) -> set[str]:
    """Ids of the jobs of the command with that folder that SLURM's queue has."""
    own = {each.name for each in (folder / JOBS).glob("[0-9]*")}
    listed = _asked("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i", *which)
    return own & set(listed)


def _asked(*command: str) -> list[str]:
    """The lines that a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def refused(error: BaseException) -> bool:
    """Whether the error tells that SLURM takes no such job."""
    cause = error.__cause__
    return isinstance(cause, subprocess.CalledProcessError) and Path(cause.cmd[0]).name == "sbatch"


def warn_of_lost_jobs() -> None:
    """Warn where SLURM keeps no accounts, by which submitit sees that a job was lost."""
    told = subprocess.run(["sacct", "--noheader", "--jobs=1"], capture_output=True, text=True, check=False)
    if told.returncode:
        log.warning(
            "a job that gets lost will be waited for until you stop this command: sacct tells nothing (%s)",
            told.stderr.strip() or told.returncode,
        )
