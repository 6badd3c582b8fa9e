"""An aarch64 board that this machine emulates: QEMU user emulation, Debian's Python, TVM's runtime, and those
of other compilers where asked for.

    start(folder, target, runtimes) -> Board ; stop(folder) ; running(folder) -> Board | None

Nothing outside `folder` is touched and no privileges are needed. An emulator of user processes is no sandbox:
what runs on the board can do what this user can.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
from filelock import FileLock

import dlas
from dlas.errors import UserError
from dlas.hardware.boards.virtual_installation import PYTHON, QEMU, install, output_of
from dlas.hardware.targets import run_environment
from dlas.interfaces.targets.target import Target
from dlas.printable import last_line_of

ARM = 0x41
"""Number of Arm as an implementer of CPUs."""

PARTS = MappingProxyType(
    {
        **{"cortex-a35": 0xD04, "cortex-a53": 0xD03, "cortex-a55": 0xD05, "cortex-a57": 0xD07},
        **{"cortex-a72": 0xD08, "cortex-a76": 0xD0B, "neoverse-n1": 0xD0C},
    }
)
"""Numbers of Arm's CPUs that QEMU emulates: Linux, arch/arm64/include/asm/cputype.h."""

READY_SECONDS = 300.0
"""Seconds that a board has to get ready: an emulated Python imports TVM on a busy machine."""

STOP_SECONDS = 10.0

STATE, LOG = "board.json", "board.log"


@dataclass(frozen=True)
class Board:
    """A started board: its server's process (`created`: when, in seconds of the epoch), where it listens."""

    name: str
    host: str
    port: int
    key: str
    pid: int
    created: float


def start(folder: Path, target: Target, runtimes: Collection[str] = ()) -> Board:
    """Install the board in `folder` unless it is there, and start it; returns once it listens. `runtimes` are
    names of compilers whose runtimes it is to have, beside TVM's.

    Raises UserError where it runs already, its port is taken, or what it is made from can't be had.
    """
    if target.reach.host not in ("127.0.0.1", "localhost"):
        raise UserError(f"{target.reach.host} is not this machine", key="target.rpc.host", remedy="127.0.0.1")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        earlier = running(folder)
        if earlier is not None:
            raise UserError(
                f"{earlier.name} is running, at {earlier.host}:{earlier.port}",
                key="target",
                remedy=f"To end it: python -m dlas.board stop target={earlier.name}",
            )
        install(folder, runtimes)
        return _started(folder, target)


def stop(folder: Path) -> Board | None:
    """End the board with all of its processes; None where none runs."""
    board = running(folder)
    if board is None:
        return None
    server = psutil.Process(board.pid)
    processes = [server, *server.children(recursive=True)]
    os.killpg(board.pid, signal.SIGTERM)
    _, left = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    for process in left:
        process.kill()
    (folder / STATE).unlink(missing_ok=True)
    return board


def running(folder: Path) -> Board | None:
    """The board of `folder`, if it runs."""
    try:
        board = Board(**json.loads((folder / STATE).read_text()))
        alive = psutil.Process(board.pid).create_time() == board.created
    except (OSError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    return board if alive and psutil.Process(board.pid).status() != psutil.STATUS_ZOMBIE else None


def _started(folder: Path, target: Target) -> Board:
    _write_python(folder, target.code.cpu)
    _write_cpuinfo(folder / "sysroot" / "proc", target.code.cpu)
    shutil.rmtree(folder / "code", ignore_errors=True)
    source = Path(dlas.__file__).parent
    shutil.copytree(source, folder / "code" / "dlas", ignore=shutil.ignore_patterns("__pycache__"))
    scratch = folder / "scratch"  # with a lock of its own: emulated times disturb no real ones
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    ready = scratch / "ready"
    settings = {"port": target.reach.port, "key": target.reach.key, "ready": str(ready)}
    with (folder / LOG).open("w") as told:
        server = subprocess.Popen(
            [str(folder / "python"), "-m", "dlas.hardware.boards.board_server", json.dumps(settings)],
            env={**os.environ, "TMPDIR": str(scratch), "TVM_USE_RUNTIME_LIB": "1"},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        _await(ready, server, folder / LOG)
        created = psutil.Process(server.pid).create_time()
        where = target.reach
        board = Board(target.name, where.host, where.port, where.key, server.pid, created)
        (folder / STATE).write_text(json.dumps(asdict(board), indent=1) + "\n")
    except BaseException:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        raise
    return board


def _await(ready: Path, server: subprocess.Popen[bytes], told: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            late = f"it was not ready within {READY_SECONDS:g} s"
            problem = last_line_of(told.read_text(errors="replace"), late)
            raise UserError(f"the virtual board did not start: {problem}", key=str(told))
        time.sleep(0.1)


def _write_cpuinfo(folder: Path, cpu: str) -> None:
    """Write the board's /proc/cpuinfo, of as many cores as this machine has; none for a CPU that is not in
    `PARTS`. QEMU shows that of this machine otherwise, which is of another architecture: a runtime that looks
    for its CPU there crashes."""
    file = folder / "cpuinfo"
    file.unlink(missing_ok=True)
    if cpu not in PARTS:
        return
    identity = (
        f"CPU implementer\t: {ARM:#x}\n"
        "CPU architecture: 8\n"
        "CPU variant\t: 0x0\n"
        f"CPU part\t: {PARTS[cpu]:#x}\n"
        "CPU revision\t: 0\n"
    )
    folder.mkdir(exist_ok=True)
    cores = range(os.cpu_count() or 1)
    file.write_text("".join(f"processor\t: {core}\n{identity}\n" for core in cores))


def _write_python(folder: Path, cpu: str) -> None:
    """Write the board's Python as a script, so that processes can start it by its path
    without binfmt_misc."""
    python = folder / "python"
    version = output_of([str(folder / QEMU), "--version"], folder).split()[2]
    emulator = [f"{folder}/{QEMU}", "-L", f"{folder}/sysroot", "-cpu", cpu, "-0", f"{python}"]
    environment = {
        "PYTHONHOME": f"{folder}/sysroot/usr",
        "PYTHONPATH": f"{folder}/code:{folder}/site",
        run_environment.EMULATOR: f"QEMU {version}, {cpu}",
    }
    exported = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    command = shlex.join([*emulator, f"{folder}/sysroot/usr/bin/python{PYTHON}"])
    python.write_text(f'#!/bin/sh\n{exported}exec {command} "$@"\n')
    python.chmod(0o755)
