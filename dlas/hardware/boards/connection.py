"""A connection to a board's side, and calls over it that end within a time.

    with connected(target, seconds) as board:
        answer(target, seconds, partial(board.call, function, argument))

TVM's RPC knows no limits of its own. Every UserError tells which board it is about.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dlas.errors import UserError, last_line
from dlas.hardware.boards import lock
from dlas.interfaces.targets.target import Target

LISTENING_SECONDS = 10.0
"""Seconds within which a board that is there answers a connection, over any network."""

BUSY_SECONDS = 900.0
"""Longest wait, in seconds, for a board that serves others or on which another process is timing."""

NOTICE_SECONDS = 3.0
"""Seconds of waiting for a turn after which a person is told."""

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Connection:
    """A connection to a board. TVM's session ends with the last reference to it: a traceback may hold this
    object, but not that one."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def close(self) -> None:
        self._session = None

    def offers(self, function: str) -> bool:
        """Whether the other side has a function of that name."""
        try:
            return self._session.get_function(function) is not None
        except Exception:  # TVM has no one type for it
            return False

    def call(self, function: str, *arguments: str) -> str:
        return str(self._session.get_function(function)(*arguments))

    def upload(self, file: Path, name: str) -> None:
        self._session.upload(os.fspath(file), name)

    def download(self, name: str) -> bytes:
        return bytes(self._session.download(name))


def name_of(target: Target) -> str:
    """Name of the board for people."""
    through = " through the tracker at" if target.reach.is_tracker else " at"
    return f"{target.name}{through} {target.reach.host}:{target.reach.port}"


@contextmanager
def connected(target: Target, seconds: float) -> Iterator[Connection]:
    """A connection that the board ends after `seconds`; processes of this machine have it one at a time."""
    with _turn(target):
        _require_listening(target)
        connect = _through_tracker if target.reach.is_tracker else _directly
        session = connect(target, seconds)
        connection = Connection(session)
        del session
        try:
            yield connection
        finally:
            connection.close()


def _turn(target: Target) -> AbstractContextManager[None]:
    """The turn at a board: one behind a tracker is lent by the tracker, to one client at a time;
    else by a lock here."""
    if target.reach.is_tracker:
        return nullcontext()
    address = re.sub(r"[^\w.-]", "_", f"{target.reach.host}-{target.reach.port}")
    return lock.held(f"board-{address}", name_of(target))


def _require_listening(target: Target) -> None:
    host, port = target.reach.host, target.reach.port
    try:
        socket.create_connection((host, port), timeout=LISTENING_SECONDS).close()
    except OSError as error:
        what = "tracker" if target.reach.is_tracker else "board"
        raise UserError(
            f"no {what} is listening at {host}:{port} ({error.strerror or error})",
            key="target.rpc",
            remedy=starting(target),
        ) from None


def starting(target: Target) -> str:
    """What starts the board's side, for a message."""
    where = target.reach
    if target.placement.emulated:
        return f"Start it: python -m dlas.board start target={target.name} port={where.port}"
    if where.is_tracker:
        return f"Start it: python -m tvm.exec.rpc_tracker --host {where.host} --port {where.port}"
    return f"On the board: python -m dlas.board serve port={where.port} key={where.key}"


def _directly(target: Target, seconds: float) -> Any:
    from tvm import rpc

    where = target.reach
    return _within(
        BUSY_SECONDS,
        lambda: rpc.connect(where.host, where.port, key=where.key, session_timeout=seconds),
        target,
        "serves another client",
        NOTICE_SECONDS,
    )


def _through_tracker(target: Target, seconds: float) -> Any:
    from tvm import rpc

    where = target.reach
    tracker = _within(
        LISTENING_SECONDS, lambda: rpc.connect_tracker(where.host, where.port), target, "does not answer"
    )
    registered = {server["key"].removeprefix("server:") for server in tracker.summary()["server_info"]}
    if where.key not in registered:
        known = ", ".join(sorted(registered)) or "none at all"
        raise UserError(
            f"the tracker at {where.host}:{where.port} has no board of the key {where.key!r}",
            key="target.rpc.key",
            remedy=f"It has: {known}. On a board: python -m dlas.board serve tracker=… key={where.key}",
        )
    return _within(
        BUSY_SECONDS,
        lambda: tracker.request(where.key, session_timeout=seconds, max_retry=1),
        target,
        "has no free board",
        NOTICE_SECONDS,
    )


def answer(target: Target, seconds: float, call: Callable[[], Result]) -> Result:
    """The result of a call on the board; UserError where it fails or takes longer than `seconds`."""
    return _within(seconds, call, target, "does not answer")


def _within(
    seconds: float, call: Callable[[], Result], target: Target, otherwise: str, notice: float = math.inf
) -> Result:
    """The result of `call`; UserError where it fails or takes longer than `seconds`. After `notice`
    seconds a person is told.

    TVM's connections know no limits of their own: `call` is left behind in its thread.
    """
    done: queue.SimpleQueue[tuple[Result | None, Exception | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except Exception as error:
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, failure = _awaited(done, seconds, notice, partial(_tell_of_waiting, target, otherwise))
    except queue.Empty:
        raise UserError(
            f"the board {name_of(target)} {otherwise}, for more than {seconds:g} s", key="target.rpc"
        ) from None
    if failure is not None:
        raise _lost(target, failure) from None
    return result  # type: ignore[return-value]  # None only beside a failure, or where the call gives it


def _awaited(
    done: queue.SimpleQueue[tuple[Result | None, Exception | None]],
    seconds: float,
    notice: float,
    tell: Callable[[], None],
) -> tuple[Result | None, Exception | None]:
    """The first item within `seconds`, else queue.Empty; `tell` is called once `notice` have passed."""
    if notice >= seconds:
        return done.get(timeout=seconds)
    try:
        return done.get(timeout=notice)
    except queue.Empty:
        tell()
        return done.get(timeout=seconds - notice)


def _tell_of_waiting(target: Target, otherwise: str) -> None:
    log.warning("waiting: the board %s %s", name_of(target), otherwise)


def _lost(target: Target, failure: Exception) -> UserError:
    said = str(failure).strip()
    if "matches key" in said:
        return UserError(
            f"the board {name_of(target)} does not answer to the key {target.reach.key!r}",
            key="target.rpc.key",
            remedy="the key that the board's side was started with",
        )
    problem = f"the connection to the board {name_of(target)} was lost: {last_line(failure)}"
    return UserError(problem, key="target.rpc")
