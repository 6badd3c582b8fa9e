"""An aarch64 board that this machine emulates: QEMU user emulation, Debian's Python, TVM's runtime, and those
of other compilers where asked for.

    install(folder, runtimes) ; start(folder, target, runtimes) -> Board
    stop(folder) ; running(folder) -> Board | None

Nothing outside `folder` is touched and no privileges are needed: packages are only unpacked. An emulator of
user processes is no sandbox: what runs on the board can do what this user can.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
from filelock import FileLock

import dlas
from dlas.errors import UserError
from dlas.hardware.sessions import runners
from dlas.hardware.targets import run_environment
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers
from dlas.plugins.finding import public
from dlas.printable import last_line_of

log = logging.getLogger("dlas.board")

DEBIAN, PYTHON = "12", "3.11"
"""The release of Debian whose packages make the board, and its Python."""

DEBIAN_PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6"),
    *("libgcc-s1", "zlib1g", "libexpat1", "libssl3", "libffi8", "liblzma5", "libbz2-1.0", "libuuid1"),
)

PYTHON_PACKAGES = (
    *("apache-tvm", "apache-tvm-ffi", "numpy", "ml_dtypes", "typing_extensions", "psutil", "cloudpickle"),
    *("filelock", "tornado"),
)

PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)))
"""Tags of wheels that the glibc of that release of Debian, 2.36, runs."""

NOT_ON_A_BOARD = (
    *("tvm/lib/libtvm_compiler.so", "tvm/lib/libtvm_runtime_cuda.so", "tvm/include/", "tvm/3rdparty/"),
    *("tvm/src/", "tvm/web/", "numpy/_core/tests/", "numpy/lib/tests/"),
)

QEMU = "qemu-aarch64-static"

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

INSTALLED, STATE, LOG = "installed.json", "board.json", "board.log"


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


def install(folder: Path, runtimes: Collection[str] = ()) -> None:
    """Fetch and unpack what the board is made from; what is installed already stays, other runtimes too.
    Packages are of the versions that are installed on this machine.

    Raises UserError where this machine can't: what is missing.
    """
    told = folder / INSTALLED
    there = told.read_text() if told.exists() else "{}"
    named = sorted({*runtimes, *json.loads(there).get("runtimes", ())})
    versions, of_runtimes = _versions(PYTHON_PACKAGES), _versions(_packages(named))
    parts = {"debian": DEBIAN, "python": {**versions, **of_runtimes}, "runtimes": named}
    wanted = json.dumps(parts, indent=1)
    if there == wanted:
        return
    _require_debian()
    for part in ("sysroot", "site", "fetched"):
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / "fetched").mkdir()
    started = time.monotonic()
    log.info("1/3 the emulator and an arm64 Python, from Debian's packages")
    _install_debian_packages(folder)
    log.info("2/3 %s for aarch64, from PyPI", ", ".join(["TVM's runtime", "NumPy", *of_runtimes]))
    own, further = _fetch_wheels(versions, of_runtimes, folder / "fetched")
    log.info("3/3 unpacking them")
    _unpack_wheels(own, folder / "site")
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:  # bytecode is the same for every CPU
        compiled = [str(folder / "site"), str(folder / "sysroot" / "usr" / "lib" / f"python{PYTHON}")]
        subprocess.run([sys.executable, "-P", "-m", "compileall", "-q", *compiled], capture_output=True)
    _unpack_wheels(further, folder / "site")  # the board compiles the little that it imports of them
    shutil.rmtree(folder / "fetched")
    told.write_text(wanted)
    log.info("installed in %.0f s, in %s", time.monotonic() - started, folder)


def _packages(runtimes: Iterable[str]) -> list[str]:
    """The distributions that run what these compilers wrote; UserError (runtimes) where this machine has not
    installed them."""
    for name in runtimes:
        compilers.require_installed(name, "runtimes")
    return [package for name in runtimes for package in runners.named(name).PACKAGES.values()]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {name: public(importlib.metadata.version(name)) for name in packages}


def _require_debian() -> None:
    release = Path("/etc/os-release")
    told = dict(
        line.partition("=")[::2] for line in (release.read_text() if release.exists() else "").splitlines()
    )
    here = told.get("ID", "").strip('"'), told.get("VERSION_ID", "").strip('"')
    if here != ("debian", DEBIAN) or not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        raise UserError(
            f"the virtual board is made from Debian {DEBIAN}'s packages, fetched by its apt-get and dpkg-deb",
            key="target",
            remedy=f"Start it on Debian {DEBIAN}, or in a container of it, such as debian:bookworm.",
        )


def _install_debian_packages(folder: Path) -> None:
    """Unpack QEMU for this machine and the rest for arm64; apt keeps its lists and its
    state below `folder`."""
    apt, fetched = folder / "apt", folder / "fetched"
    shutil.rmtree(apt, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    host = _run(["dpkg", "--print-architecture"], fetched).strip()
    settings = {
        "APT::Architecture": host,
        "APT::Sandbox::User": "root",
        "Dir::State::Lists": str(apt / "lists"),
        "Dir::State::status": str(apt / "status"),
        "Dir::Cache": str(apt / "cache"),
        "Acquire::Languages": "none",
    }
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    (apt / "apt.conf").write_text("".join([*lines, f'APT::Architectures {{ "{host}"; "arm64"; }};\n']))
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
    _run(["apt-get", "-qq", "update"], fetched, environment)
    packages = [f"{name}:arm64" for name in DEBIAN_PACKAGES]
    _run(["apt-get", "-qq", "download", "qemu-user-static", *packages], fetched, environment)
    for package in fetched.glob("*_arm64.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder / "sysroot")], fetched)
    (emulator,) = set(fetched.glob("qemu-user-static_*.deb"))
    _extract_emulator(emulator, folder / QEMU)
    shutil.rmtree(apt)


def _extract_emulator(package: Path, destination: Path) -> None:
    """Extract one of the sixty emulators in the package, and unpack no more than it takes to get there."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            content = archive.extractfile(member) if Path(member.name).name == QEMU else None
            if content is not None:
                destination.write_bytes(content.read())
                destination.chmod(0o755)
                break


def _fetch_wheels(
    versions: Mapping[str, str], of_runtimes: Mapping[str, str], folder: Path
) -> tuple[set[Path], set[Path]]:
    """Fetch these wheels alone, and those of runtimes with all that they depend on; returns the ones and
    the others."""
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--dest", "."]
    command += ["--python-version", PYTHON, "--implementation", "cp"]
    command += [word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    own, further = _pinned(versions), _pinned(of_runtimes)
    _run([*command, "--no-deps", *own], folder)
    alone = set(folder.glob("*.whl"))
    if further:
        (folder / "constraints.txt").write_text("\n".join(own))
        _run([*command, "--constraint", "constraints.txt", *further], folder)
    return alone, set(folder.glob("*.whl")) - alone


def _pinned(versions: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in versions.items()]


def _unpack_wheels(wheels: Iterable[Path], site: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            kept = [name for name in archive.namelist() if not name.startswith(NOT_ON_A_BOARD)]
            archive.extractall(site, kept)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise UserError(
            f"the virtual board could not be installed, {' '.join(command[:4])} failed: "
            f"{last_line_of(done.stderr, f'exit code {done.returncode}')}",
            key="target",
        )
    return done.stdout


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
    version = _run([str(folder / QEMU), "--version"], folder).split()[2]
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
