"""The process of a point, as the command that leads it sees it: all that comes of it, however it ends; and
what such a process finds out for the command, which knows no board.

The command itself imports neither torch nor TVM.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from dlas import config, crashes
from dlas.errors import UserError
from dlas.points import fingerprint, making, view
from dlas.points.making import Logging, Point
from dlas.points.messages import BoardRuntime, Failed, Finished, Used
from dlas.points.progress import Progress
from dlas.points.steps import TIMING
from dlas.processes import apart
from dlas.processes.fork_server import ForkServer

log = logging.getLogger("dlas.run")

TIMED_TICK_SECONDS = 30.0
"""Time between two looks at a point that is being timed: what is drawn takes from the cores that time it."""


@cache
def server() -> ForkServer:
    """The process that forks those of points, the same one for as long as this process runs; it goes on with
    its imports when this returns."""
    ours, theirs = socket.socketpair()
    subprocess.Popen(
        [sys.executable, "-m", "dlas.points.server", str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return ForkServer(ours)


def fingerprint_of(stack: config.Stack) -> str:
    """The fingerprint of the point. A board that is to run it by the runtime of another compiler is asked,
    once, for the versions that it has."""
    elsewhere = stack.target.reach != "local" and stack.compiler.has_own_kernels
    return fingerprint.of(stack, _board_runtime(stack.target, stack.compiler.runtime) if elsewhere else {})


_told: list[tuple[config.Target, str, Mapping[str, str] | None]] = []
"""Boards and runners that were asked for, and the versions there."""


def _board_runtime(target: config.Target, runner: str) -> Mapping[str, str] | None:
    known = next((each for each in _told if each[:2] == (target, runner)), None)
    if known is not None:
        return known[2]
    found: list[BoardRuntime] = []
    watch = apart.Watch(found.append, _wrote, apart.do_nothing)
    call(making.tell_runtime, (target, runner), watch, None)
    versions = found[0].versions if found else None
    _told.append((target, runner, versions))
    return versions


def _wrote(stream: int, written: bytes) -> None:
    sys.stderr.buffer.write(written)
    sys.stderr.flush()


def logging_of(settings: Any, verbose: bool | str | Sequence[str]) -> Logging:
    """The log as Hydra has it in this process: `verbose` is hydra.verbose."""
    debugged = ("",) if verbose is True else (verbose,) if isinstance(verbose, str) else tuple(verbose or ())
    return Logging(cast(dict[str, Any], OmegaConf.to_container(settings, resolve=True)), debugged)


def make(
    work: Callable[..., None],
    point: Point,
    logged: Logging,
    *,
    on_step: Callable[[Progress], None],
    beat: Callable[[], None],
    far: Callable[[Progress], Sequence[str]],
    opened: view.Opening,
    output: Path,
) -> Finished:
    """Have the point made by `work` of `points.making`; UserError that says why where it failed.

    `on_step` is called each time that a result of a stage was used, or a step ended. What the process writes
    goes to the view, with the lines that `far` makes of its progress, and to the file `output`.
    """
    progress = Progress()
    looked = time.monotonic()

    def told(message: object) -> None:
        progress.note(message)
        shown.tick()
        if isinstance(message, Used) or progress.seconds:
            on_step(progress)

    timeout = point.stack.timeout

    def tick() -> None:
        nonlocal looked
        now = time.monotonic()
        if progress.step != TIMING or now - looked >= TIMED_TICK_SECONDS:
            looked = now
            shown.tick()

    with output.open("ab", buffering=0) as copy, opened(lambda: far(progress)) as shown:

        def wrote(stream: int, written: bytes) -> None:
            shown.wrote(stream, written)
            with suppress(OSError):  # a full disk ends the work itself
                copy.write(written)

        try:
            code = call(work, (point, logged), apart.Watch(told, wrote, beat, tick), timeout)
        except TimeoutError:
            problem = f"it took longer than {timeout:g} s, and was stopped {progress.where}"
            raise UserError(problem, key="timeout") from None
    if isinstance(progress.outcome, Failed):
        raise progress.outcome.error
    if progress.outcome is None or code != 0:
        raise UserError(end(code, progress.where))
    return progress.outcome


def call(
    work: Callable[..., None], arguments: tuple[object, ...], watch: apart.Watch, timeout: float | None
) -> int:
    """`apart.call` of the server of this command, in this process's environment."""
    environment = _environment()
    try:
        return apart.call(server(), work, arguments, watch, environment=environment, timeout=timeout)
    except ChildProcessError:  # it was killed since the last call
        server.cache_clear()
    return apart.call(server(), work, arguments, watch, environment=environment, timeout=timeout)


def _environment() -> dict[str, str]:
    """This one's, with the size of the terminal, which the process can't ask for."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:  # there is no terminal
        return dict(os.environ)
    return {**os.environ, "COLUMNS": str(size.columns), "LINES": str(size.lines)}


def end(code: int, doing: str) -> str:
    """How a process ended that was `doing` something, by its exit code, and what that tells."""
    meaning = crashes.meaning(code)
    return f"its process {crashes.end(code)} {doing}{f' ({meaning})' if meaning else ''}"
