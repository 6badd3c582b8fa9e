"""The board's side: TVM's RPC server, with which a client sends files and has sessions run on them.

    serve(Settings(listen, port, key, tracker))     until it is stopped
    python -m dlas.hardware.boards.board_server '{"port": 9190, "key": "…", "ready": "<file>"}'

One client at a time. Each connection is served by a process of its own, and each library it runs by another:
neither a crash there, nor a client that hangs, vanishes or talks nonsense, ends the server. Whoever can
connect can run any code: there is no password.

Needs NumPy, psutil, filelock and TVM's runtime, and for libraries of another compiler its runtime; nothing
else that this project needs.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import socket
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import psutil

from dlas.errors import UserError
from dlas.hardware.boards import lock, protocol
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.process import run_session
from dlas.hardware.sessions.session import keep_torch_out
from dlas.hardware.targets import machine
from dlas.plugins.finding import package_version
from dlas.processes.parent import die_with_parent

log = logging.getLogger("dlas.board")

LOOPBACK = "127.0.0.1"

HANDSHAKE_SECONDS = 5.0
"""Seconds after which a client that has not said who it is is dropped: others wait behind it."""

MAX_SESSION_SECONDS = 6 * 3600.0

POLL_SECONDS = 0.5

GRACE_SECONDS = 2.0
"""Seconds that a session has to end by itself after its client has hung up."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Options of TCP by which a client whose machine is gone is noticed after a minute."""


@dataclass(frozen=True)
class Settings:
    """Settings of a board's server."""

    listen: str = LOOPBACK
    port: int = 9090
    key: str = ""
    tracker: str | None = None
    """Tracker to register with, host:port; null for none."""
    announce: str | None = None
    """The address that the tracker gives to clients; null for `listen`."""
    ready: str | None = None
    """A file that is written once the board listens."""


def serve(settings: Settings) -> None:
    """Listen until the process is stopped; UserError where the port can't be had or the tracker is none."""
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"
    keep_torch_out()
    from tvm.rpc import server as rpc_server

    _answer_to_clients()
    rpc_server._serving = _serve_client
    tracker = _tracker(settings.tracker)
    listening = _listening(settings)
    if settings.ready is not None:
        Path(settings.ready).write_text(f"{settings.listen}:{settings.port}\n")
    log.warning("the board %s listens at %s:%d", settings.key, settings.listen, settings.port)
    while True:
        try:
            rpc_server._listen_loop(
                listening, settings.port, settings.key, tracker, None, settings.announce or settings.listen
            )
        except Exception as error:  # a client's nonsense, or a tracker that is gone for now
            log.warning("a connection failed: %s", error)
            time.sleep(POLL_SECONDS)


def _listening(settings: Settings) -> socket.socket:
    socket.setdefaulttimeout(HANDSHAKE_SECONDS)
    try:
        return socket.create_server((settings.listen, settings.port))
    except OSError as error:
        raise UserError(
            f"cannot listen at {settings.listen}:{settings.port}: {error.strerror}",
            key="port",
            remedy="another one: port=<number>",
        ) from None


def _tracker(address: str | None) -> tuple[str, int] | None:
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"'{address}' is no address", key="tracker", remedy="tracker=<host>:<port>")
    return host, int(port)


def _answer_to_clients() -> None:
    import tvm_ffi

    tvm_ffi.register_global_func(protocol.ABOUT, _about, override=True)
    tvm_ffi.register_global_func(protocol.RUNTIME, _runtime, override=True)
    tvm_ffi.register_global_func(protocol.MAKE_FOLDER, _make_folder, override=True)
    tvm_ffi.register_global_func(protocol.RUN, _run, override=True)


def _about(kind: str) -> str:
    return json.dumps({"version": protocol.VERSION, **asdict(machine.this_machine(kind))})


def _runtime(runner: str) -> str:
    """The versions of the distributions that the runner of that name imports, null for one that is not
    installed here; null for a runner that this dlas does not know."""
    if runner not in runners.names():
        return json.dumps(None)
    packages = runners.named(runner).PACKAGES.items()
    return json.dumps({name: package_version(module, name) for module, name in packages})


def _make_folder(name: str) -> None:
    """Make a folder in the client's own, for files that it sends next."""
    Path.cwd().joinpath(name).mkdir(parents=True, exist_ok=True)


def _run(text: str) -> str:
    """Do the request of a session (dlas.hardware.sessions.session) on files in the client's folder."""
    order: dict[str, Any] = json.loads(text)
    limit, patience = order.pop("time_limit"), order.pop("lock_limit")
    alone = order["command"] != "compute"
    holding = lock.held(lock.THIS_MACHINE, "the board", patience) if alone else nullcontext()
    try:
        with holding:
            run_session(order, Path.cwd(), limit)
    except UserError as error:  # what the session said, or that the board stayed busy
        return json.dumps({"problem": error.problem})
    return "{}"


def _serve_client(
    connection: socket.socket, address: object, options: dict[str, float], libraries: None
) -> None:
    """Serve a client in a process of its own. TVM's own way ends the server with the first
    session that crashes."""
    from tvm.support import utils

    connection.settimeout(None)  # TVM's loop needs a socket that blocks
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    limit = min(options.get("timeout") or MAX_SESSION_SECONDS, MAX_SESSION_SECONDS)
    folder = utils.tempdir()
    session = multiprocessing.get_context("fork").Process(target=_session, args=(connection, folder))
    log.info("serving %s", address)
    try:
        session.start()
        _watch(session, connection, limit)
    finally:
        _end(session)
        connection.close()
        shutil.rmtree(folder.path, ignore_errors=True)


def _session(connection: socket.socket, folder: Any) -> None:
    from tvm.rpc import server as rpc_server

    die_with_parent()
    os.chdir(folder.path)
    rpc_server._serve_loop(connection, None, folder)


def _watch(session: ForkProcess, connection: socket.socket, limit: float) -> None:
    """Return when the session has ended, its time is up, or its client has hung up on it."""
    deadline = time.monotonic() + limit
    while session.is_alive() and time.monotonic() < deadline:
        session.join(POLL_SECONDS)
        if session.is_alive() and _hung_up(connection):
            session.join(GRACE_SECONDS)
            return


def _hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _end(session: ForkProcess) -> None:
    """End the session's process, with all that it has started."""
    if not session.is_alive():
        return
    try:
        children = psutil.Process(session.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    session.kill()
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    session.join()


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    serve(Settings(**json.loads(sys.argv[1])))
