"""A library is made again in a process of its own: what ended that is told in one message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_naming import bundle_naming

from dlas.bundle import Bundle
from dlas.bundle.rebuild_process import rebuilt_apart
from dlas.errors import UserError
from dlas.hardware.targets import target_file

REPOSITORY = Path(__file__).resolve().parent.parent

ALGORITHM = """
import logging, os, sys, time
from dlas.algorithms.direct import dense
from dlas.algorithms.direct.dense import compute, layouts, schedule, unsupported

def pack_weight(workload, weight):
    {does}
    return dense.pack_weight(workload, weight)
"""

COMMAND = """
import sys
from dlas.redeploy import main
status = main(sys.argv[1:])
print("TVM was imported here:", "tvm" in sys.modules)
sys.exit(status)
"""


def doing(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose algorithm, of the package `own_package`, does this while the library is made."""
    package = folder / "modules" / "own_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "algorithm.py").write_text(ALGORITHM.format(does=what))
    monkeypatch.syspath_prepend(package.parent)
    return bundle_naming(folder / "bundle", "own_package.algorithm")


def refused(made: Bundle, scratch: Path, cpu_seconds: int = 600) -> str:
    with pytest.raises(UserError) as told:
        rebuilt_apart(
            made, target_file.read(made.target), scratch, trusted=("own_package",), cpu_seconds=cpu_seconds
        )
    said = str(told.value)
    assert len(said.splitlines()) == 1
    return said


def test_a_crash_is_one_message_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = doing(f"os.kill(os.getpid(), {int(signal.SIGSEGV)})", tmp_path, monkeypatch)
    searched = os.pathsep.join((str(REPOSITORY), str(tmp_path / "modules")))
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, f"bundle={made.root}", "rebuild=true", "trust=own_package"],
        env={**os.environ, "PYTHONPATH": searched},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 1, ended.stderr
    (said,) = ended.stderr.splitlines()
    assert said.startswith(f"{made.root}: ")
    assert "make no library" in said
    assert "crashed (SIGSEGV)" in said
    assert "TVM was imported here: False" in ended.stdout


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "(SIGKILL): the system killed it"),
        ("os.write(2, b'LLVM ERROR: no such thing'); os._exit(1)", "exit code 1: LLVM ERROR: no such"),
        ("raise MemoryError", "MemoryError"),
    ],
)
def test_what_ended_the_process_is_told(
    does: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told in refused(doing(does, tmp_path, monkeypatch), tmp_path / "made")


def test_a_program_that_takes_for_ever_to_compile_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = doing("while True: pass", tmp_path, monkeypatch)
    assert "(SIGXCPU): it used up the processor time" in refused(made, tmp_path / "made", cpu_seconds=1)


def test_warnings_and_what_the_compiler_prints_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    does = "logging.warning('waiting \\x1b[2J for it'); os.write(2, b'of the compiler')"
    made = doing(does, tmp_path, monkeypatch)
    found = rebuilt_apart(made, target_file.read(made.target), tmp_path / "made", trusted=("own_package",))
    assert found.library.is_file()
    told = capfd.readouterr().err
    assert r"waiting \x1b[2J for it" in told
    assert "of the compiler" in told
