"""Processes that have TVM from the start: forked by one that has imported it, which takes milliseconds, where
a process that imports it for itself takes seconds.

    serve(channel, work)       in a process that has done its imports, and has no thread
    ForkServer(channel)        the asker's end of the socket

    serve_pools(popen_pool)    has all pools of a process that has no other thread yet fork their processes
    started().start(worker)    what PopenWorker._start does, for a process that has threads, or torch

A server ends with the process that asked for it, and the processes of pools end as TVM's own do. It needs
nothing but Python's own modules.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn

FORK = b"fork"
NUMBER = 8
"""Bytes of a process's id in a message, and of the status that it ended with."""

MAX_DESCRIPTORS = 3


class ForkServer:
    """The asker's end of a fork server; several threads may use it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._alone = threading.Lock()

    def fork(self, descriptors: Sequence[int]) -> Forked:
        """Fork a process whose work is given copies of these file descriptors; OSError where
        the server ended."""
        with self._alone:
            return Forked(self, self._asked(FORK, descriptors))

    def start(self, worker: Any) -> None:
        """Give a process to a PopenWorker that has none."""
        if worker._proc is not None:
            return
        here, its_writer = os.pipe()
        its_reader, there = os.pipe()
        try:
            worker._proc = self.fork([its_reader, its_writer])
        finally:
            os.close(its_reader)
            os.close(its_writer)
        worker._reader, worker._writer = os.fdopen(here, "rb"), os.fdopen(there, "wb")

    def wait_for(self, pid: int) -> int:
        """Wait for a process that the server forked; returns the status that it ended with."""
        with self._alone:
            return self._asked(pid.to_bytes(NUMBER, "big"))

    def _asked(self, question: bytes, descriptors: Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self._channel, [question], descriptors)
            answer = self._channel.recv(NUMBER, socket.MSG_WAITALL)
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

    def wait(self, timeout: float | None = None) -> int:
        """The exit code of a process that ends by itself or was killed. The timeout is not heeded:
        subprocess.Popen takes one."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(self._server.wait_for(self.pid))
        return self.returncode


def serve(channel: socket.socket, work: Callable[..., None]) -> NoReturn:
    """Fork and wait for as long as the asker's end is open. `work` is called in every process with the file
    descriptors that it is given."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the asker, which then goes
    while True:
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


def serve_pools(popen_pool: Any) -> None:
    """Let the pools of a TVM, whose module is given, fork their processes with what this one has imported so
    far."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        channel = os.dup2(theirs.detach(), 3)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        serve(socket.socket(fileno=channel), _work_for_a_pool)
    theirs.close()
    server = ForkServer(ours)
    popen_pool.PopenWorker._start = lambda worker: server.start(worker)


@cache
def started() -> ForkServer:
    """A fork server in a process of its own without torch, the same one for as long as this process runs."""
    from dlas.hardware.no_torch import with_modules_of_this_process

    ours, theirs = socket.socketpair()
    subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        env=with_modules_of_this_process(os.environ),
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return ForkServer(ours)


def _work_for_a_pool(reader: int, writer: int) -> None:
    """Do the work of a process of TVM's pools."""
    from tvm.exec import popen_worker

    sys.argv = ["", str(reader), str(writer)]
    try:
        popen_worker.main()
    except (OSError, KeyboardInterrupt):
        os._exit(0)


if __name__ == "__main__":
    import tvm.exec.popen_worker  # noqa: F401

    import dlas.systems.compilers.tvm.linking  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])), _work_for_a_pool)
