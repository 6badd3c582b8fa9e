"""Client of a board behind TVM RPC: files are sent there, and a session runs in a fresh process of the board.

require_board(target, runner) -> versions of the runtime there
session_result(folder, result, target, library, order, time_limit) -> file

The server, on the board, is `board_server`. Every call has a connection of its own, and a limit that is
longer than what it waits for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from dlas.errors import UserError
from dlas.hardware.boards.connection import BUSY_SECONDS, Connection, answer, connected, name_of, starting
from dlas.hardware.boards.protocol import ABOUT, MAKE_FOLDER, RUN, RUNTIME, VERSION
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.targets.fitting import misfits, require_no
from dlas.hardware.targets.machine import Machine
from dlas.interfaces.targets.target import Target
from dlas.plugins.finding import distribution_version, public

ANSWER_SECONDS = 120.0
"""Time limit of calls that take a board no time to speak of, over a slow network, on a slow board."""

LIBRARY_FILE, LIBRARY_FOLDER = "library.so", "library"
"""Names of a library on the board."""

UPLOAD_SECONDS = 900.0
"""Time limit of an upload: 500 MB over a wireless network."""


def require_board(target: Target, runner: str) -> Mapping[str, str]:
    """The versions of the distributions that the runner of that name imports on the board; none of TVM's.

    UserError unless the board answers, can run what is made for the target, and has these distributions.
    """
    with connected(target, ANSWER_SECONDS) as board:
        return _require_fit(board, target, runner)


def session_result(
    folder: Path, result: str, target: Target, library: Path, order: Mapping[str, Any], time_limit: float
) -> Path:
    """The file `result` in `folder`, as a fresh process on the board made it of `order`.

    `folder` holds inputs.npy. `library` is a file; that of a compiler which takes whole networks is a folder,
    and goes there with all that is in it. Raises LibraryFailed for what goes wrong on the board, UserError
    for what does on the way to it.
    """
    limit = time_limit + BUSY_SECONDS
    name = LIBRARY_FOLDER if library.is_dir() else LIBRARY_FILE
    with connected(target, limit + UPLOAD_SECONDS) as board:
        _require_fit(board, target, order.get("runner", runners.TVM))
        files = {**_files_of(library, name), "inputs.npy": folder / "inputs.npy"}
        files |= {file.name: file for file in folder.glob("*.npz")}
        others = {f"library_{index}.so": Path(path) for index, path in enumerate(order.get("libraries", []))}
        _send({**files, **others}, board, target)
        request = {**order, "library": name, "inputs": "inputs.npy", "result": result}
        request |= {"libraries": list(others)} if others else {}
        request |= {"time_limit": time_limit, "lock_limit": BUSY_SECONDS}
        ask = partial(board.call, RUN, json.dumps(request))
        told = json.loads(answer(target, limit + ANSWER_SECONDS, ask))
        if "problem" in told:
            raise LibraryFailed(
                told["problem"], key=os.fspath(library), remedy=f"on the board {name_of(target)}"
            )
        content = answer(target, UPLOAD_SECONDS, partial(board.download, result))
    (folder / result).write_bytes(content)
    return folder / result


def _files_of(library: Path, name: str) -> dict[str, Path]:
    """The files of a library by what they are called on the board, where the library is called `name`."""
    if not library.is_dir():
        return {name: library}
    files = sorted(file for file in library.rglob("*") if file.is_file())
    return {f"{name}/{file.relative_to(library).as_posix()}": file for file in files}


def _send(files: Mapping[str, Path], board: Connection, target: Target) -> None:
    """Send the files to the client's folder on the board, by names that may lead to folders in it."""
    folders = {PurePosixPath(name).parent.as_posix() for name in files} - {"."}
    for name in sorted(folders):
        answer(target, ANSWER_SECONDS, partial(board.call, MAKE_FOLDER, name))
    for name, file in files.items():
        answer(target, UPLOAD_SECONDS, partial(board.upload, file, name))


def _require_fit(board: Connection, target: Target, runner: str) -> Mapping[str, str]:
    if not answer(target, ANSWER_SECONDS, partial(board.offers, RUN)):
        raise UserError(
            f"what listens at {target.reach.host}:{target.reach.port} is no board's side of dlas",
            key="target.rpc",
            remedy=starting(target),
        )
    found = json.loads(answer(target, ANSWER_SECONDS, partial(board.call, ABOUT, target.code.kind)))
    _require_same_version(found.get("version"), target)
    extensions = tuple(found["instruction_sets"])
    machine = Machine(found["architecture"], found["system"], extensions, found["gpu"])
    require_no(misfits(target.code, machine, "the board"), target.code, f"the board {name_of(target)}")
    return {} if runner == runners.TVM else _runtime(board, target, runner)


def _require_same_version(version: int | None, target: Target) -> None:
    if version == VERSION:
        return
    told = f"of an earlier version than {VERSION}" if version is None else f"of version {version}"
    raise UserError(
        f"the board {name_of(target)} is served by another dlas: its answers are {told}, "
        f"and this side takes those of version {VERSION}",
        key="target",
        remedy=_serving_again(target),
    )


def _serving_again(target: Target) -> str:
    """What gives the board the dlas of this side."""
    if target.placement.emulated:
        return _starting_again(target)
    return "On the board: install the dlas of this side, and serve again."


def _starting_again(target: Target, *options: str) -> str:
    """The commands that start a virtual board anew, with these options too."""
    start = " ".join(["start", f"target={target.name}", f"port={target.reach.port}", *options])
    return f"python -m dlas.board stop target={target.name}; python -m dlas.board {start}"


def _runtime(board: Connection, target: Target, runner: str) -> dict[str, str]:
    """The versions of what the runner of that name imports; UserError for what the board has not."""
    known = answer(target, ANSWER_SECONDS, partial(board.offers, RUNTIME))
    ask = partial(board.call, RUNTIME, runner)
    versions = json.loads(answer(target, ANSWER_SECONDS, ask)) if known else None
    if versions is None:
        raise UserError(
            f"the dlas that serves the board {name_of(target)} knows nothing of {runner}",
            key="target",
            remedy=_serving_again(target),
        )
    lacking = [name for name, version in versions.items() if version is None]
    if lacking:
        raise UserError(
            f"what {runner} compiled is run by {' and '.join(lacking)}, not installed on the board "
            f"{name_of(target)}",
            key="target",
            remedy=_installing(target, runner, lacking),
        )
    return dict(versions)


def _installing(target: Target, runner: str, lacking: Sequence[str]) -> str:
    """What to do for a runtime that the board lacks: to install the version of this side, where there is one,
    which is what the board's will be compared with."""
    if target.placement.emulated:
        return _starting_again(target, f"runtimes={runner}")
    versions = {name: distribution_version(name) for name in lacking}
    wanted = " ".join(f"{name}=={public(version)}" if version else name for name, version in versions.items())
    return f"On the board: pip install {wanted}"
