"""What an emulated aarch64 board is made from: QEMU and Python of Debian's packages, runtimes of PyPI's.

Packages are only unpacked, below the board's folder: that takes no privileges.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from dlas.errors import UserError
from dlas.hardware.sessions import runners
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

INSTALLED = "installed.json"
"""Name of the file that tells what is installed."""


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
    host = output_of(["dpkg", "--print-architecture"], fetched).strip()
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
    output_of(["apt-get", "-qq", "update"], fetched, environment)
    packages = [f"{name}:arm64" for name in DEBIAN_PACKAGES]
    output_of(["apt-get", "-qq", "download", "qemu-user-static", *packages], fetched, environment)
    for package in fetched.glob("*_arm64.deb"):
        output_of(["dpkg-deb", "-x", str(package), str(folder / "sysroot")], fetched)
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
    output_of([*command, "--no-deps", *own], folder)
    alone = set(folder.glob("*.whl"))
    if further:
        (folder / "constraints.txt").write_text("\n".join(own))
        output_of([*command, "--constraint", "constraints.txt", *further], folder)
    return alone, set(folder.glob("*.whl")) - alone


def _pinned(versions: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in versions.items()]


def _unpack_wheels(wheels: Iterable[Path], site: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            kept = [name for name in archive.namelist() if not name.startswith(NOT_ON_A_BOARD)]
            archive.extractall(site, kept)


def output_of(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """What the command says in the folder; UserError, with its last line, where it fails."""
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
