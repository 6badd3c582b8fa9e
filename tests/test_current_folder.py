"""A command that is started in a stranger's folder runs nothing that lies there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlas.hardware.no_torch import without_torch

REPOSITORY = Path(__file__).resolve().parent.parent
SHADOWED = ("numpy", "json", "logging", "omegaconf", "pathlib", "__future__")


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A folder of modules that leave a file behind when they are imported."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for module in SHADOWED:
        marker = tmp_path / f"{module}-was-imported"
        (folder / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    return folder


def started(*arguments: str, cwd: Path, searched: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": searched},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["redeploy", "bundle", "tune"])
def test_modules_in_the_current_folder_are_not_imported(strange: Path, command: str) -> None:
    ended = started("-m", f"dlas.{command}", "--help", cwd=strange, searched=str(REPOSITORY))
    assert ended.returncode == 0, ended.stderr
    assert f"python -m dlas.{command}" in ended.stdout
    assert not list(strange.parent.glob("*-was-imported"))


def test_pythonpath_still_adds_the_current_folder(strange: Path) -> None:
    searched = os.pathsep.join((str(REPOSITORY), "."))
    started("-m", "dlas.redeploy", "--help", cwd=strange, searched=searched)
    assert list(strange.parent.glob("*-was-imported"))


@pytest.mark.parametrize("empty", ["{repository}:", ":{repository}", "{repository}::/nowhere"])
@pytest.mark.parametrize("arguments", [["-m"], ["-P", "-m"]])
def test_an_empty_element_of_pythonpath_is_not_the_current_folder(
    strange: Path, arguments: list[str], empty: str
) -> None:
    searched = empty.format(repository=REPOSITORY)
    ended = started(*arguments, "dlas.tune", "--help", cwd=strange, searched=searched)
    assert ended.returncode == 0, ended.stderr
    assert not list(strange.parent.glob("*-was-imported"))


def test_an_installed_command_takes_no_empty_element_for_the_current_folder(strange: Path) -> None:
    command = strange.parent / "dlas-tune"
    command.write_text("import sys\nfrom dlas.tune import main\nsys.exit(main())\n")
    ended = started(str(command), "--help", cwd=strange, searched=f"{REPOSITORY}:")
    assert ended.returncode == 0, ended.stderr
    assert not list(strange.parent.glob("*-was-imported"))


def test_processes_of_an_installed_command_take_no_modules_from_the_current_folder(strange: Path) -> None:
    command = strange.parent / "dlas-board"
    started_by_it = "import sys, subprocess, dlas; subprocess.run([sys.executable, '-m', 'compileall', '-h'])"
    command.write_text(started_by_it)
    ended = started(str(command), cwd=strange, searched=str(REPOSITORY))
    assert "compileall" in ended.stdout
    assert not list(strange.parent.glob("*-was-imported"))


def test_a_process_that_is_started_without_torch_gets_no_empty_element(strange: Path) -> None:
    environment = without_torch({"PATH": os.defpath, "PYTHONPATH": f"{REPOSITORY}:"})
    ended = subprocess.run(
        [sys.executable, "-P", "-c", "import json, numpy; print(numpy.__file__)"],
        cwd=strange,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert not list(strange.parent.glob("*-was-imported"))


def test_a_checkout_finds_itself_and_other_programs_keep_their_path(tmp_path: Path) -> None:
    told = "import sys, dlas; print(dlas.__file__); print(sys.path[0] == '')"
    ended = started("-c", told, cwd=REPOSITORY, searched=str(tmp_path))
    assert ended.stdout.splitlines() == [str(REPOSITORY / "dlas" / "__init__.py"), "True"]
    ended = started("-m", "dlas.tune", "--help", cwd=REPOSITORY, searched=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
