"""Processes forked by one that has done its imports, which takes milliseconds, where a process that imports
for itself takes seconds.

    serve(channel, work)       in a process that has done its imports, and has no thread at work
    ForkServer(channel)        the asker's end of the socket

A server ends with the process that asked for it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

FORK = b"fork"
NUMBER = 8
"""Bytes of a process's id in a message, and of the status that it ended with."""

MAX_DESCRIPTORS = 3

PAUSE_MS = 100
"""Time without a question after which a server does something else: several askers' come close together."""


class ForkServer:
    """The asker's end of a fork server; several threads may use it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._alone = threading.Lock()
        self._over: list[int] = []

    def fork(self, descriptors: Sequence[int]) -> Forked:
        """Fork a process whose work is given copies of these file descriptors; ChildProcessError
        where the server ended."""
        with self._alone:
            while self._over:
                self._asked(self._over.pop().to_bytes(NUMBER, "big"))
            return Forked(self, self._asked(FORK, descriptors))

    def wait_for(self, pid: int) -> int:
        """Wait for a process that the server forked; returns the status that it ended with."""
        with self._alone:
            return self._asked(pid.to_bytes(NUMBER, "big"))

    def leave(self, pid: int) -> None:
        """Wait for a process, whose end is known, with the next one that is forked: the server, which may be
        taking a step of its own, is not asked now."""
        self._over.append(pid)

    def _asked(self, question: bytes, descriptors: Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self._channel, [question], descriptors)
            answer = self._channel.recv(NUMBER, socket.MSG_WAITALL)
        except OSError as error:
            self._channel.close()
            raise ChildProcessError("the process that forks others ended") from error
        except BaseException:  # an answer that nobody waits for any more would be taken for the next one's
            self._channel.close()
            raise
        if len(answer) < NUMBER:
            self._channel.close()
            raise ChildProcessError("the process that forks others ended")
        return int.from_bytes(answer, "big")


class Forked:
    """A forked process, with those of subprocess.Popen's methods that are used."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def ended(self, code: int) -> None:
        """Note the exit code of a process that told it and is over."""
        self.returncode = code
        self._server.leave(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code of a process that ends by itself or was killed. The timeout is not heeded:
        subprocess.Popen takes one."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(self._server.wait_for(self.pid))
        return self.returncode


def serve(channel: socket.socket, work: Callable[..., None], meanwhile: Iterable[str] = ()) -> NoReturn:
    """Fork and wait for as long as the asker's end is open. `work` is called in every process with the file
    descriptors that it is given. The steps of `meanwhile`, which names each that it took, are taken when
    nothing is asked for; it may start no thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the asker, which then goes
    steps, asking = iter(meanwhile), select.poll()
    asking.register(channel, select.POLLIN)
    while True:
        while not asking.poll(PAUSE_MS) and next(steps, None) is not None:
            pass
        asked, descriptors, *_ = socket.recv_fds(channel, NUMBER, MAX_DESCRIPTORS)
        if not asked:
            os._exit(0)
        if descriptors:
            answer = os.fork()
            if answer == 0:
                channel.close()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                work(*descriptors)
                os._exit(0)
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            _, answer = os.waitpid(int.from_bytes(asked, "big"), 0)
        channel.sendall(answer.to_bytes(NUMBER, "big"))
