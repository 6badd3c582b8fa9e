"""Work in a process of its own: whatever ends it, its asker goes on.

    serve_work(channel)                         in a process that is kept, with its imports behind it
    call(server, work, arguments, watch)        in the asker, which sees all that the work writes and tells

The process leads a process group, and dies with its asker. Its standard input is empty.
"""

from __future__ import annotations

import faulthandler
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TextIO, cast

from dlas.processes.fork_server import Forked, ForkServer, serve
from dlas.processes.parent import die_with_parent

Tell = Callable[[object], None]
"""Tells the asker something: any object that can be pickled."""

BEAT_SECONDS, TICK_SECONDS = 60.0, 1.0
STOP_SECONDS = 10.0
"""Time that the work has to end by itself once it is interrupted."""

INTERRUPTED = 130
CHUNK = 1 << 16


def do_nothing() -> None:
    """Do nothing, where no clock has to be followed."""


@dataclass(frozen=True)
class Watch:
    """What the asker does while the work goes on."""

    told: Callable[[Any], None]
    """Function that is given what the work tells."""
    wrote: Callable[[int, bytes], None]
    """Function that is given what the work writes: to 1, its standard output, or to 2, its standard error."""
    beat: Callable[[], None]
    """Function that is called every `BEAT_SECONDS`."""
    tick: Callable[[], None] = do_nothing
    """Function that is called every `TICK_SECONDS`."""


@dataclass(frozen=True)
class _Ended:
    """The last that a process tells: its exit code."""

    code: int


def call(
    server: ForkServer,
    work: Callable[..., None],
    arguments: Sequence[object],
    watch: Watch,
    *,
    environment: Mapping[str, str],
    timeout: float | None = None,
) -> int:
    """Have a process do `work(tell, *arguments)`; returns its exit code, or the negative number of the signal
    that ended it.

    The work and its arguments are pickled. TimeoutError where it takes longer than `timeout` seconds. Then,
    and when an exception comes from the watch or from Ctrl-C, the work is interrupted as by Ctrl-C, has
    `STOP_SECONDS` to end, and is killed. ChildProcessError where the server ended before it began.
    """
    followed = _start(server)
    try:
        followed.ask((work, arguments, dict(environment)))
        if not followed.ended(watch, timeout):
            raise TimeoutError
    except BaseException:
        followed.interrupt(watch)
        raise
    finally:
        code = followed.close()
    return code


class _Followed:
    """A process at work, as its asker sees it."""

    def __init__(self, process: Forked, answers: Connection, streams: Mapping[int, int]) -> None:
        self._process = process
        self._code: int | None = None
        """Exit code, once the process told it."""
        self._answers = answers
        self._end = os.pidfd_open(process.pid)
        self._streams = streams
        """Numbers of the streams by the file descriptors that they are read from."""
        self._selector = selectors.DefaultSelector()
        for readable in (answers.fileno(), self._end, *streams):
            self._selector.register(readable, selectors.EVENT_READ)

    def ask(self, request: object) -> None:
        with suppress(BrokenPipeError):  # it died: that is seen when it is followed
            self._answers.send(request)

    def ended(self, watch: Watch, timeout: float | None) -> bool:
        """Hand on what it writes and tells, until it ended: True, or the time is over: False."""
        now = time.monotonic()
        until = now + timeout if timeout is not None else float("inf")
        beat, tick = now + BEAT_SECONDS, now + TICK_SECONDS
        while now < until:
            ready = self._ready(max(min(until, beat, tick) - now, 0))
            self._hand_on(ready, watch)
            if self._end in ready:
                while left := self._ready(0) - {self._end}:
                    self._hand_on(left, watch)
                return True
            now = time.monotonic()
            if now >= beat:
                watch.beat()
                beat = now + BEAT_SECONDS
            if now >= tick:
                watch.tick()
                tick = now + TICK_SECONDS
        return False

    def interrupt(self, watch: Watch) -> None:
        """Interrupt it, and wait as long as it may take to end; what it tells now counts no more."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGINT)
        self.ended(Watch(lambda told: None, watch.wrote, watch.beat), STOP_SECONDS)

    def close(self) -> int:
        """Kill what is left of its process group; returns its exit code."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._process.kill()  # it may not have come to lead the group
        if self._code is not None:
            self._process.ended(self._code)
        try:
            return self._process.wait()
        except ChildProcessError:  # the server ended, and with it the process
            return -signal.SIGKILL
        finally:
            self._selector.close()
            self._answers.close()
            for descriptor in (self._end, *self._streams):
                os.close(descriptor)

    def _ready(self, seconds: float) -> set[int]:
        return {key.fd for key, _ in self._selector.select(seconds)}

    def _hand_on(self, ready: set[int], watch: Watch) -> None:
        """Hand on a part of what is there to be read."""
        for descriptor in ready & self._streams.keys():
            if written := os.read(descriptor, CHUNK):
                watch.wrote(self._streams[descriptor], written)
            else:
                self._selector.unregister(descriptor)
        if self._answers.fileno() in ready:
            try:
                told = self._answers.recv()
            except (EOFError, OSError):  # it died, maybe in the middle of a message
                self._selector.unregister(self._answers.fileno())
            else:
                if isinstance(told, _Ended):
                    self._code = told.code
                else:
                    watch.told(told)


def _start(server: ForkServer) -> _Followed:
    ours, theirs = socket.socketpair()
    outputs = [os.pipe() for _ in (1, 2)]
    try:
        process = server.fork([theirs.fileno(), *(writer for _, writer in outputs)])
    except BaseException:
        ours.close()
        for reader, _ in outputs:
            os.close(reader)
        raise
    finally:
        theirs.close()
        for _, writer in outputs:
            os.close(writer)
    streams = {reader: number for number, (reader, _) in enumerate(outputs, start=1)}
    return _Followed(process, Connection(ours.detach()), streams)


def serve_work(channel: socket.socket, meanwhile: Iterable[str] = ()) -> NoReturn:
    """Fork a process for each call, for as long as the asker's end is open. The steps of `meanwhile` are
    taken between calls, as `serve` does it."""
    serve(channel, _work, meanwhile)


def _work(asker: int, output: int, errors: int) -> NoReturn:
    """Do what is asked, to the end of this process."""
    os.setpgid(0, 0)
    die_with_parent()
    for stream, descriptor in ((1, output), (2, errors)):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.set_inheritable(asker, False)
    status: object = 0
    connection = Connection(asker)
    try:
        for written in (sys.stdout, sys.stderr):
            cast(TextIO, written).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
        faulthandler.enable()
        work, arguments, environment = connection.recv()
        os.environ.clear()
        os.environ.update(environment)
        work(connection.send, *arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as left:
        status = left.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        code = (status if isinstance(status, int) else int(status is not None)) & 0xFF
        with suppress(OSError):  # the asker is gone
            connection.send(_Ended(code))
        os._exit(code)
