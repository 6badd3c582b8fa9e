"""Boards for tests: this machine's own side of one, as a user starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from command import command, environment

from dlas import config
from dlas.hardware.boards import lock
from dlas.hardware.no_torch import without_torch
from dlas.hardware.targets import resolving
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target

KEY = "bench"
READY_SECONDS = 60


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def here(port: int, **changes: object) -> Target:
    """This machine, reached by RPC."""
    host = resolving.resolve(config.Target(name="host"))
    return replace(
        host, name="bench", code=replace(host.code, **changes), reach=Reach("rpc", port=port, key=KEY)
    )


@contextmanager
def served(port: int, *settings: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m dlas.board serve` on this machine, until the block ends; it waits for no other timing."""
    with serving(port, command("board", "serve", f"port={port}", f"key={KEY}", *settings)) as server:
        yield server


@contextmanager
def served_by_another(port: int, changes: str) -> Iterator[None]:
    """The board's side of another dlas, which differs from this one by these statements about `board_server`
    and `protocol`."""
    imports = "from dlas.hardware.boards import board_server, protocol"
    settings = f"board_server.Settings(port={port}, key={KEY!r})"
    program = f"{imports}\n{changes}\nboard_server.serve({settings})"
    with serving(port, [sys.executable, "-c", program]):
        yield


@contextmanager
def serving(port: int, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The process of a board's side, until the block ends."""
    with TemporaryDirectory() as scratch:
        env = environment({"TMPDIR": scratch, lock.LOCKS: scratch})
        with subprocess.Popen(arguments, env=env, stderr=subprocess.PIPE, text=True) as server:
            try:
                wait_for(port)
                yield server
            finally:
                end(server)


@contextmanager
def tracked(port: int) -> Iterator[None]:
    """TVM's tracker."""
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1)]
    with subprocess.Popen(
        [sys.executable, "-m", "tvm.exec.rpc_tracker", *arguments], env=without_torch(environment())
    ) as tracker:
        try:
            wait_for(port)
            yield
        finally:
            end(tracker)


def end(process: subprocess.Popen[str]) -> None:
    """With what it has started."""
    if process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # its session may have just ended
                child.kill()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens at {port}")


def exported(executable: object, made_for: Target, library: Path) -> Path:
    from dlas.systems.compilers.tvm import linking

    linking.export(executable, made_for.code, made_for.linker, library)
    return library
