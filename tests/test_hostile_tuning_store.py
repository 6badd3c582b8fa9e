"""Exported tuning stores that somebody made to do harm: refused in one message, and nothing is written."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dlas.tune import main


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
    assert main(["import", f"file={archive}", f"artifacts={artifacts}"]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert told.err.replace("\n", "").isprintable()
    assert sorted(tmp_path.iterdir()) == [archive]
