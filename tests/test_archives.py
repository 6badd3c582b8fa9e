"""Bundles as one file: the same bytes each time, read by other tools, and harmless whoever made them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dlas import bundle
from dlas.bundle import Bundle, archive
from dlas.bundle.command import main
from dlas.errors import UserError

Entries = dict[str, bytes]


@pytest.fixture
def sealed(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    (folder / "library").mkdir(parents=True)
    (folder / "timing.json").write_text("{}")
    (folder / "library" / "model.so").write_bytes(bytes(range(256)) * 100)
    (folder / "größe.txt").write_text("as long as it is wide")
    return bundle.seal(folder, point="ab12", stages={"build": "cd34"})


def contents(folder: Path) -> Entries:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def packed(sealed: Bundle) -> Path:
    file = sealed.root.parent / "one.dlas.zip"
    archive.pack(sealed, file)
    return file


def test_a_bundle_comes_out_as_it_went_in(sealed: Bundle, tmp_path: Path) -> None:
    assert archive.unpack(packed(sealed), tmp_path / "out") == Bundle(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(sealed.root)
    assert bundle.verify(tmp_path / "out").root == tmp_path / "out"


def test_the_same_bundle_makes_the_same_bytes(sealed: Bundle, tmp_path: Path) -> None:
    """In another process, from another folder, with other times, modes and order on the disk."""
    first = packed(sealed)
    copy = tmp_path / "elsewhere" / "copy"
    copy.mkdir(parents=True)
    for name, content in sorted(contents(sealed.root).items(), reverse=True):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes(content)
        (copy / name).chmod(0o600)
        os.utime(copy / name, (10**9, 10**9))
    command = [sys.executable, "-m", "dlas.bundle", "pack", "bundle=copy"]
    environment = {**os.environ, "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7"}
    subprocess.run(command, check=True, cwd=copy.parent, env=environment, umask=0o077)
    assert (copy.parent / "copy.dlas.zip").read_bytes() == first.read_bytes()


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_reads_it(sealed: Bundle, tmp_path: Path) -> None:
    subprocess.run(["unzip", "-q", packed(sealed), "-d", tmp_path / "by-hand"], check=True)
    assert bundle.verify(tmp_path / "by-hand").root == tmp_path / "by-hand"


def test_a_signature_goes_with_it(sealed: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "ann"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "signers").write_text(f"ann@example.org {(tmp_path / 'ann.pub').read_text()}")
    signers = f"signers={tmp_path / 'signers'}"
    unsigned = packed(sealed)
    assert main(["unpack", f"file={unsigned}", f"bundle={tmp_path / 'un'}", signers]) == 1
    assert not (tmp_path / "un").exists()
    assert main(["sign", f"bundle={sealed.root}", f"key={key}"]) == 0
    file = tmp_path / "signed.dlas.zip"
    assert main(["pack", f"bundle={sealed.root}", f"file={file}"]) == 0
    capsys.readouterr()
    assert main(["verify", f"bundle={file}", signers]) == 0
    assert main(["unpack", f"file={file}", f"bundle={tmp_path / 'out'}", signers]) == 0
    assert capsys.readouterr().out.count("signed by ann@example.org") == 2


def test_nothing_is_written_over(sealed: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = packed(sealed)
    before = file.read_bytes()
    assert main(["pack", f"bundle={sealed.root}", f"file={file}"]) == 1
    assert main(["unpack", f"file={file}", f"bundle={sealed.root}"]) == 1
    assert capsys.readouterr().err.count("is there already") == 2
    assert file.read_bytes() == before


def test_a_file_in_no_folder_is_refused_before_the_run_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", "run=a", f"artifacts={tmp_path}", f"file={tmp_path / 'absent' / 'x'}"]) == 1
    assert capsys.readouterr().err.startswith("file: ")


def test_a_bundle_that_changed_is_not_packed(sealed: Bundle, tmp_path: Path) -> None:
    sealed.timing.write_text("[]")
    assert main(["pack", f"bundle={sealed.root}", f"file={tmp_path / 'x.dlas.zip'}"]) == 1
    assert not (tmp_path / "x.dlas.zip").exists()


def test_pack_takes_a_run_or_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack"]) == main(["pack", "run=a", "bundle=b"]) == 2
    assert main(["unpack"]) == 2
    assert "file=<x.dlas.zip>" in capsys.readouterr().err


def test_a_run_is_not_looked_for_in_a_store_that_was_never_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", "run=a", f"artifacts={tmp_path}"]) == 1
    assert capsys.readouterr().err.startswith("artifacts: there are no runs")
    assert not list(tmp_path.iterdir())


def entry(name: str, mode: int = archive.MODE) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, archive.WHEN)
    made.create_system, made.external_attr = 3, mode << 16
    return made


def written(file: Path, entries: Entries, mode: int = archive.MODE) -> None:
    with zipfile.ZipFile(file, "w") as made:
        for name, content in entries.items():
            made.writestr(entry(name, mode), content)


def listing(entries: Entries, name: str) -> Entries:
    """The entries with one more, which their manifest lists as it lists the others."""
    manifest = json.loads(entries["manifest.json"])
    manifest["files"][name] = manifest["files"]["timing.json"]
    return {**entries, name: entries["timing.json"], "manifest.json": bundle.sealing._written(manifest)}


def leads_up(file: Path, entries: Entries) -> None:
    written(file, listing(entries, "../outside"))


def is_absolute(file: Path, entries: Entries) -> None:
    written(file, listing(entries, "/tmp/outside"))


def is_not_listed(file: Path, entries: Entries) -> None:
    written(file, {**entries, "../outside": b"{}"})


def lacks_a_file(file: Path, entries: Entries) -> None:
    written(file, {name: content for name, content in entries.items() if name != "timing.json"})


def lacks_a_manifest(file: Path, entries: Entries) -> None:
    written(file, {"timing.json": b"{}"})


def has_another_size(file: Path, entries: Entries) -> None:
    written(file, {**entries, "timing.json": b"{ }"})


def has_another_content(file: Path, entries: Entries) -> None:
    written(file, {**entries, "timing.json": b"[]"})


def is_a_link(file: Path, entries: Entries) -> None:
    written(file, entries, mode=0o120777)


def is_a_bomb(file: Path, entries: Entries) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in {**entries, "timing.json": bytes(1 << 26)}.items():
            made.writestr(entry(name), content, zipfile.ZIP_DEFLATED)


def shares_its_bytes(file: Path, entries: Entries) -> None:
    """One large entry, to which the directory points under a hundred names."""
    with zipfile.ZipFile(file, "w") as made:
        for name, content in entries.items():
            made.writestr(entry(name), content)
        made.writestr(entry("large"), bytes(1 << 16))
        last = made.infolist()[-1]
        for number in range(100):
            another = entry(f"large{number}")
            another.file_size, another.compress_size = last.file_size, last.compress_size
            another.CRC, another.header_offset = last.CRC, last.header_offset
            made.filelist.append(another)


def has_two_of_a_name(file: Path, entries: Entries) -> None:
    written(file, entries)
    with zipfile.ZipFile(file, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr(entry("timing.json"), b"[]")


def tells_of_a_large_directory(file: Path, entries: Entries) -> None:
    written(file, entries)
    whole = bytearray(file.read_bytes())
    whole[-10:-6] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(whole)


def is_encrypted(file: Path, entries: Entries) -> None:
    written(file, entries)
    whole = file.read_bytes()
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        parts = whole.split(mark)
        whole = mark.join(
            [parts[0], *(bytes((*part[: at - 4], part[at - 4] | 1, *part[at - 3 :])) for part in parts[1:])]
        )
    file.write_bytes(whole)


def is_cut_off(file: Path, entries: Entries) -> None:
    written(file, entries)
    file.write_bytes(file.read_bytes()[:-1000])


def is_no_zip(file: Path, entries: Entries) -> None:
    file.write_bytes(b"\x1b[31m" * 100)


def is_empty(file: Path, entries: Entries) -> None:
    file.touch()


def is_a_pipe(file: Path, entries: Entries) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (leads_up, "leads out of the bundle"),
        (is_absolute, "leads out of the bundle"),
        (is_not_listed, "outside is not part of the bundle"),
        (lacks_a_file, "timing.json is missing"),
        (lacks_a_manifest, "manifest.json is missing"),
        (has_another_size, "it has 3 bytes, not 2"),
        (has_another_content, "timing.json is not as it was sealed"),
        (is_a_link, "is not a plain file"),
        (is_a_bomb, "is compressed"),
        (shares_its_bytes, "share bytes"),
        (has_two_of_a_name, "two entries have one name"),
        (tells_of_a_large_directory, "directory of more than"),
        (is_encrypted, "is encrypted"),
        (is_cut_off, "is no archive of a bundle"),
        (is_no_zip, "is no archive of a bundle"),
        (is_empty, "is no archive of a bundle"),
        (is_a_pipe, "is a pipe"),
    ],
)
def test_what_pack_did_not_make_is_refused_and_leaves_nothing(
    make: Callable[[Path, Entries], None], said: str, sealed: Bundle, tmp_path: Path
) -> None:
    file = tmp_path / "strange.dlas.zip"
    make(file, contents(sealed.root))
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=said) as refusal:
        archive.unpack(file, tmp_path / "out")
    assert str(refusal.value).replace("\n", "").isprintable()
    assert set(tmp_path.iterdir()) == before
    assert not (tmp_path.parent / "outside").exists()
