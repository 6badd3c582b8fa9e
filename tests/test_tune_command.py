"""`python -m dlas.tune`: a store packed here is a store there; what is none is refused."""

from __future__ import annotations

import secrets
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import dlas
from small_searches import TASKS

from dlas import config
from dlas.hardware.targets import resolving
from dlas.systems.tuners.common.tuning_store import Shelf, TuningStore


def tune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return dlas("tune", *arguments)


def shelf(artifacts: Path) -> Shelf:
    return TuningStore(artifacts / "tuning").shelf("ansor-0.19", resolving.resolve(config.Target("host")))


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Three records of two layers."""
    shelf(tmp_path / "ours").add(TASKS[0], ["first", "second"])
    shelf(tmp_path / "ours").add(TASKS[1], ["third"])
    file = tmp_path / "store.zip"
    ended = tune("export", f"file={file}", f"artifacts={tmp_path / 'ours'}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("3 records")
    return file


def test_a_store_is_moved_and_merged(packed: Path, tmp_path: Path) -> None:
    theirs = shelf(tmp_path / "theirs")
    theirs.add(TASKS[0], ["second", "their own"])
    for new in (2, 0):
        ended = tune("import", f"file={packed}", f"artifacts={tmp_path / 'theirs'}")
        assert ended.stdout.startswith(f"{new} records were new"), ended.stderr
    assert theirs.records(TASKS[0]) == ["second", "their own", "first"]
    assert theirs.records(TASKS[1]) == ["third"]


def test_what_is_no_store_is_refused(packed: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.zip"
    with zipfile.ZipFile(outside, "w") as archive:
        archive.writestr("../../outside.json", "first\n")
    truncated = tmp_path / "truncated.zip"
    truncated.write_bytes(packed.read_bytes()[:-30])
    damaged = tmp_path / "damaged.zip"
    content = bytearray(packed.read_bytes())
    content[content.index(b".json") + 6] ^= 0xFF  # in the compressed records of the first file
    damaged.write_bytes(content)
    for file in (outside, truncated, damaged, tmp_path / "missing.zip"):
        ended = tune("import", f"file={file}", f"artifacts={tmp_path / 'theirs'}")
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"file: {file} ")
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "theirs").exists()


def test_mistakes_are_told(packed: Path, tmp_path: Path) -> None:
    assert "one of: export, import" in tune("send").stderr
    assert tune("export").stderr.startswith("file: is not given")
    ended = tune("export", f"file={packed}", f"artifacts={tmp_path / 'ours'}")
    assert "can't be written: File exists" in ended.stderr
    ended = tune("export", f"file={tmp_path / 'new.zip'}", f"artifacts={tmp_path / 'none'}")
    assert "no tuning records" in ended.stderr


def test_nothing_is_left_of_an_export_that_the_disk_has_no_room_for(packed: Path, tmp_path: Path) -> None:
    shelf(tmp_path / "ours").add(TASKS[0], [secrets.token_hex(8000)])
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from dlas.tune import main; sys.exit(main())"
    )
    arguments = ["export", f"file={tmp_path / 'large.zip'}", f"artifacts={tmp_path / 'ours'}"]
    ended = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, text=True)
    assert (ended.returncode, "can't be written" in ended.stderr) == (1, True), ended.stderr
    assert not (tmp_path / "large.zip").exists()
