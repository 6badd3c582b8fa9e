"""Client of a board behind TVM RPC: files are sent there, and a session runs in a fresh process of the board.

require_board(target)
session_result(folder, result, target, library, order, time_limit) -> file

The server, on the board, is `board_server`. Every call has a connection of its own, and a limit that is
longer than what it waits for.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dlas.errors import UserError, last_line
from dlas.hardware.boards import lock
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.targets.fitting import misfits, require_no
from dlas.hardware.targets.machine import Machine
from dlas.interfaces.targets.target import Target

ABOUT, RUN = "dlas.board.about", "dlas.board.run"
"""Names of the functions on the board's side."""

LISTENING_SECONDS = 10.0
"""Seconds within which a board that is there answers a connection, over any network."""

BUSY_SECONDS = 900.0
"""Longest wait, in seconds, for a board that serves others or on which another process is timing."""

NOTICE_SECONDS = 3.0
"""Seconds of waiting for a turn after which a person is told."""

ANSWER_SECONDS = 120.0
"""Time limit of calls that take a board no time to speak of, over a slow network, on a slow board."""

UPLOAD_SECONDS = 900.0
"""Time limit of an upload: 500 MB over a wireless network."""

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Connection:
    """A connection to a board. TVM's session ends with the last reference to it: a traceback may hold this
    object, but not that one."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def close(self) -> None:
        self._session = None

    def is_board(self) -> bool:
        """Whether the other side is a board of dlas."""
        try:
            return self._session.get_function(RUN) is not None
        except Exception:  # TVM has no one type for it
            return False

    def call(self, function: str, *arguments: str) -> str:
        return str(self._session.get_function(function)(*arguments))

    def upload(self, file: Path, name: str) -> None:
        self._session.upload(os.fspath(file), name)

    def download(self, name: str) -> bytes:
        return bytes(self._session.download(name))


def require_board(target: Target) -> None:
    """UserError unless the board answers and can run what is made for the target."""
    with _session(target, ANSWER_SECONDS) as board:
        _require_fit(board, target)


def session_result(
    folder: Path, result: str, target: Target, library: Path, order: Mapping[str, Any], time_limit: float
) -> Path:
    """The file `result` in `folder`, as a fresh process on the board made it of `order`.

    `folder` holds inputs.npy. Raises LibraryFailed for what goes wrong on the board, UserError for what does
    on the way to it.
    """
    limit = time_limit + BUSY_SECONDS
    with _session(target, limit + UPLOAD_SECONDS) as board:
        _require_fit(board, target)
        files = {"library.so": library, "inputs.npy": folder / "inputs.npy"}
        files |= {file.name: file for file in folder.glob("*.npz")}
        others = {f"library_{index}.so": Path(path) for index, path in enumerate(order.get("libraries", []))}
        for name, file in {**files, **others}.items():
            _answer(target, UPLOAD_SECONDS, partial(board.upload, file, name))
        request = {**order, "library": "library.so", "inputs": "inputs.npy", "result": result}
        request |= {"libraries": list(others)} if others else {}
        request |= {"time_limit": time_limit, "lock_limit": BUSY_SECONDS}
        ask = partial(board.call, RUN, json.dumps(request))
        answer = json.loads(_answer(target, limit + ANSWER_SECONDS, ask))
        if "problem" in answer:
            raise LibraryFailed(
                answer["problem"], key=os.fspath(library), remedy=f"on the board {name_of(target)}"
            )
        content = _answer(target, UPLOAD_SECONDS, partial(board.download, result))
    (folder / result).write_bytes(content)
    return folder / result


def name_of(target: Target) -> str:
    """Name of the board for people."""
    through = " through the tracker at" if target.reach.is_tracker else " at"
    return f"{target.name}{through} {target.reach.host}:{target.reach.port}"


@contextmanager
def _session(target: Target, seconds: float) -> Iterator[Connection]:
    """A connection that the board ends after `seconds`; processes of this machine have it one at a time."""
    with _turn(target):
        _require_listening(target)
        connect = _requested if target.reach.is_tracker else _connected
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
            remedy=_starting(target),
        ) from None


def _starting(target: Target) -> str:
    where = target.reach
    if target.placement.emulated:
        return f"Start it: python -m dlas.board start target={target.name} port={where.port}"
    if where.is_tracker:
        return f"Start it: python -m tvm.exec.rpc_tracker --host {where.host} --port {where.port}"
    return f"On the board: python -m dlas.board serve port={where.port} key={where.key}"


def _connected(target: Target, seconds: float) -> Any:
    from tvm import rpc

    where = target.reach
    return _within(
        BUSY_SECONDS,
        lambda: rpc.connect(where.host, where.port, key=where.key, session_timeout=seconds),
        target,
        "serves another client",
        NOTICE_SECONDS,
    )


def _requested(target: Target, seconds: float) -> Any:
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


def _require_fit(board: Connection, target: Target) -> None:
    if not _answer(target, ANSWER_SECONDS, board.is_board):
        raise UserError(
            f"what listens at {target.reach.host}:{target.reach.port} is no board's side of dlas",
            key="target.rpc",
            remedy=_starting(target),
        )
    found = json.loads(_answer(target, ANSWER_SECONDS, partial(board.call, ABOUT, target.code.kind)))
    extensions = tuple(found["instruction_sets"])
    machine = Machine(found["architecture"], found["system"], extensions, found["gpu"])
    require_no(misfits(target.code, machine, "the board"), target.code, f"the board {name_of(target)}")


def _answer(target: Target, seconds: float, call: Callable[[], Result]) -> Result:
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
