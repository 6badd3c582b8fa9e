"""Processes of TVM's pools that have TVM from the start: they are forked by one that has imported it.

    serve_pools(popen_pool)    has all pools of a process that has no other thread yet fork their processes
    start(worker)              what PopenWorker._start does, for a process that has threads, or torch

They end as TVM's own do.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import cache
from typing import Any

from dlas.processes.fork_server import ForkServer, serve


def serve_pools(popen_pool: Any) -> None:
    """Let the pools of a TVM, whose module is given, fork their processes with what this one has imported so
    far."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        channel = os.dup2(theirs.detach(), 3)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        serve(socket.socket(fileno=channel), _work)
    theirs.close()
    server = ForkServer(ours)
    popen_pool.PopenWorker._start = lambda worker: _give_process(worker, server)


def start(worker: Any) -> None:
    """Give a process without torch to a PopenWorker that has none."""
    _give_process(worker, _server())


@cache
def _server() -> ForkServer:
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


def _give_process(worker: Any, server: ForkServer) -> None:
    if worker._proc is not None:
        return
    here, its_writer = os.pipe()
    its_reader, there = os.pipe()
    try:
        worker._proc = server.fork([its_reader, its_writer])
    finally:
        os.close(its_reader)
        os.close(its_writer)
    worker._reader, worker._writer = os.fdopen(here, "rb"), os.fdopen(there, "wb")


def _work(reader: int, writer: int) -> None:
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

    serve(socket.socket(fileno=int(sys.argv[1])), _work)
