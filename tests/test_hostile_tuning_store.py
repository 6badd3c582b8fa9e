"""Tuning stores that somebody made to do harm: what is no exported store is refused in one message, and
nothing is written; records in the file of another layer are left out, and nothing they name is imported."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_searches import SMALL

from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.ansor import worker as ansor_worker
from dlas.systems.tuners.common.relatives import relatives_of
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.tune import main

TASK = TuningTask(SMALL, "direct")
RELATIVE = TuningTask(replace(SMALL, out_channels=2 * SMALL.out_channels), "direct")


def member(name: str, content: bytes = b"{}\n") -> Callable[[Path], None]:
    def make(archive: Path) -> None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(name, content)

    return make


def saying(size: int) -> Callable[[Path], None]:
    """Of a member of 100000 bytes both headers tell another size."""

    def make(archive: Path) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("ansor-0.19/ab12/a-b-c.json", bytes(100_000))
        told, telling = (number.to_bytes(4, "little") for number in (100_000, size))
        archive.write_bytes(made.getvalue().replace(told, telling))

    return make


def asking_for_a_password(archive: Path) -> None:
    member("ansor-0.19/ab12/a-b-c.json")(archive)
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (member("../ab12/a-b-c.json"), "it holds ../ab12"),
        (member("..json/../a.json"), "it holds ..json"),
        (member("/etc/ab12/x.json"), "it holds /etc"),
        (member("ansor/ab12/.json"), "it holds ansor"),
        (member("ansor/ab12/a\x1b[31m\nb.json"), r"a\x1b[31m\nb.json"),
        (saying(3 << 30), "3221225472 bytes"),
        (saying(10), "can't be read"),
        (asking_for_a_password, "can't be read"),
        (os.mkfifo, "is a pipe"),
        (lambda archive: archive.write_bytes(b"PK\x03\x04"), "can't be read"),
        (member("ansor-0.19/ab12/a-b-c.json", b"\xff\n"), "can't be read"),
    ],
)
def test_it_is_refused_and_nothing_is_written(
    make: Callable[[Path], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, artifacts = tmp_path / "store.zip", tmp_path / "artifacts"
    make(archive)
    assert main(["import", f"file={archive}", f"artifacts={artifacts}"]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert told.err.replace("\n", "").isprintable()
    assert sorted(tmp_path.iterdir()) == [archive]


def ansor_record(task: TuningTask) -> str:
    """A line of a log of Ansor's, its schedule that of no steps."""
    layer = json.dumps(["conv2d_layer", task.workload.key, task.algorithm])
    return json.dumps({"i": [[layer, "llvm"], [[], []]], "r": [[0.001], 0, 1, 1], "v": "v0.6"})


def test_a_record_in_the_file_of_another_layer_is_left_out_and_told(
    host: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = ansor_record(RELATIVE)
    others = [ansor_record(replace(RELATIVE, algorithm="strange")), ansor_record(TASK), "{}", "no record"]
    shelf = TuningStore(tmp_path).shelf(ansor.VERSION, host)
    shelf.add(RELATIVE, [own, *others])
    with caplog.at_level(logging.WARNING):
        found = relatives_of([TASK], shelf, ansor.read, 4)
    assert found == {TASK.key: [(RELATIVE.workload.key, own)]}
    (told,) = caplog.messages
    assert told == f"4 lines of {shelf.file(RELATIVE)} are no records of its layer, and are left out"


IN_THE_WORKER = """
import sys
sys.path[:0] = sys.argv[1:4]
from layers import conv2d_layer, search_task
search_task({"workload": sys.argv[4], "algorithm": "direct"}, "llvm")
try:
    conv2d_layer(sys.argv[4], "strange")
except ValueError as error:
    print(error)
"""


def test_ansor_s_worker_imports_no_algorithm_that_was_not_asked_for(tmp_path: Path) -> None:
    marker = tmp_path / "it-was-imported"
    (tmp_path / "strange.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    worker = ansor_worker.FOLDER
    folders = [str(worker), str(worker.parents[1]), str(tmp_path)]
    command = [str(worker / ".venv" / "bin" / "python"), "-c", IN_THE_WORKER, *folders, SMALL.key]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "'strange' was not asked for" in ended.stdout, ended.stderr
    assert not marker.exists()
