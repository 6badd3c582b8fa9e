"""Several sessions whose processes are alive at once and take their samples in turn.

What a shared machine gives changes within tenths of a second, and all its processes meet the same: two
virtual cores that their host moved apart pass data on more slowly until it moves them again. Samples that
were taken a few runs after each other meet one pace, sessions that were taken one after the other don't. A
process that has no turn is stopped (SIGSTOP), so that no thread of it spins while another one is timed.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from dlas.hardware.sessions.process import starting, turns

ERRORS = "stderr.txt"


def run_in_turn(
    requests: Sequence[Mapping[str, Any]], folders: Sequence[Path], count: int, time_limit: float
) -> None:
    """Do what each request asks (`starting.start`) in a process and a folder of its own.

    They load and warm up one after the other, take their samples in `count` turns each, a round of turns
    beginning with another one each time, and end one after the other.

    Raises LibraryFailed where one can't be loaded, crashes, or takes longer than `time_limit` seconds for one
    of these steps. None is left then.
    """
    with ExitStack() as stack:
        begun: list[_Living] = []
        for request, folder in zip(requests, folders, strict=True):
            others = sum(one.seconds() for one in begun)
            begun.append(stack.enter_context(_Living(request, folder, count, others, time_limit)))
        for turn in range(count):
            first = turn % len(begun)
            for one in (*begun[first:], *begun[:first]):
                one.take_turn()
        for one in begun:
            one.end(sum(other.seconds() for other in begun if other is not one))


@dataclass
class _Living:
    """A session's process from its start, until it has loaded and warmed up, to its end."""

    request: Mapping[str, Any]
    folder: Path
    count: int
    others_seconds: float
    """CPU time that the other sessions had taken when this one began."""
    time_limit: float
    _process: subprocess.Popen[bytes] = field(init=False)
    _orders: int = field(init=False)
    """Descriptor that this session is told its turns by."""
    _answers: int = field(init=False)
    _left: ExitStack = field(init=False)
    """The process and the descriptors, to be ended and closed."""
    _ended_seconds: float | None = None
    """CPU time of the whole process, once it has ended."""

    def __enter__(self) -> _Living:
        with ExitStack() as ours, ExitStack() as theirs:
            told, self._orders = os.pipe()
            theirs.callback(os.close, told)
            ours.callback(os.close, self._orders)
            self._answers, telling = os.pipe()
            ours.callback(os.close, self._answers)
            theirs.callback(os.close, telling)
            self._process = self._started(told, telling)
            ours.callback(self._kill)
            theirs.close()
            self._wait()
            self._left = ours.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.close()

    def _started(self, told: int, telling: int) -> subprocess.Popen[bytes]:
        """The process, which has these two descriptors of its turns."""
        asked = turns.asked(self.count, told, telling, self.others_seconds)
        start = starting.start({**self.request, turns.KEY: asked}, self.folder)
        with (self.folder / ERRORS).open("wb") as errors:
            return subprocess.Popen(
                start.command,
                cwd=self.folder,
                env=start.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(told, telling),
            )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def seconds(self) -> float:
        """CPU time of the process, in seconds."""
        if self._ended_seconds is not None:
            return self._ended_seconds
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def take_turn(self) -> None:
        """Have it take its next samples."""
        self._tell(turns.TURN)
        self._wait()

    def end(self, others_seconds: float) -> None:
        """Have it write what it found and end; `others_seconds` is the CPU time of the other sessions."""
        self._tell(f"{turns.END} {others_seconds}")
        self._require_done()

    def _tell(self, order: str) -> None:
        self._process.send_signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # it has ended, which `_wait` will find
            os.write(self._orders, f"{order}\n".encode())

    def _wait(self) -> None:
        """Wait until it is ready for its next turn, and stop it until it has one."""
        answered, _, _ = select.select([self._answers], [], [], self.time_limit)
        if not answered:
            raise starting.too_slow(self.request, self.time_limit)
        if not os.read(self._answers, 1):
            self._require_done()
        self._process.send_signal(signal.SIGSTOP)

    def _require_done(self) -> None:
        """Wait until it ends; LibraryFailed unless it does so in time and with a result."""
        before = _seconds_of_ended()
        try:
            self._process.wait(self.time_limit)
        except subprocess.TimeoutExpired:
            raise starting.too_slow(self.request, self.time_limit) from None
        self._ended_seconds = _seconds_of_ended() - before
        errors = (self.folder / ERRORS).read_text(errors="replace")
        starting.require_done(self.request, self._process.returncode, errors)


def _seconds_of_ended() -> float:
    """CPU time of all processes that this one started and that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime
