"""A bundle is what was sealed, file by file and byte by byte, or it is refused by the name of the file."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlas import bundle
from dlas.errors import UserError

FILES = {
    "config.yaml": b"model:\n  name: vgg16\n",
    "library/model.so": bytes(range(256)) * 20,
    "model/weights.safetensors": b"weights",
    "timing.json": b"{}",
}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    bundle.seal(root, point="ab12", stages={"train": "cd34"})
    return root


def test_what_was_sealed_is_found_again(sealed: Path) -> None:
    found = bundle.verify(sealed)
    assert found.library.read_bytes() == FILES["library/model.so"]
    manifest = json.loads(found.manifest.read_text())
    assert (manifest["schema"], manifest["point"], manifest["stages"]) == (2, "ab12", {"train": "cd34"})
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(content) for name, content in FILES.items()
    }


def test_a_bundle_can_be_moved(sealed: Path, tmp_path: Path) -> None:
    shutil.copytree(sealed, tmp_path / "elsewhere")
    assert bundle.verify(tmp_path / "elsewhere").root == tmp_path / "elsewhere"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_byte_that_changes_is_noticed(sealed: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted([*FILES, bundle.MANIFEST])))
    content = bytearray((sealed / name).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    original = (sealed / name).read_bytes()
    (sealed / name).write_bytes(content)
    try:
        with pytest.raises(UserError, match=name):
            bundle.verify(sealed)
    finally:
        (sealed / name).write_bytes(original)


@pytest.mark.parametrize("space", [b"\t", b"\r", b"\r\n"])
def test_another_white_space_in_the_manifest_is_noticed(sealed: Path, space: bytes) -> None:
    content = (sealed / bundle.MANIFEST).read_bytes()
    (sealed / bundle.MANIFEST).write_bytes(content.replace(b"\n", space, 1))
    with pytest.raises(UserError, match=bundle.MANIFEST):
        bundle.verify(sealed)


def drop(root: Path) -> None:
    (root / "library/model.so").unlink()


def add(root: Path) -> None:
    (root / "library/extra.so").write_bytes(b"")


def link(root: Path) -> None:
    (root / "library/model.so").rename(root.parent / "outside.so")
    (root / "library/model.so").symlink_to(root.parent / "outside.so")


def link_folder(root: Path) -> None:
    (root / "library").rename(root.parent / "outside")
    (root / "library").symlink_to(root.parent / "outside")


def pipe(root: Path) -> None:
    (root / "library/model.so").unlink()
    os.mkfifo(root / "library/model.so")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (drop, "library/model.so is missing"),
        (add, "library/extra.so"),
        (link, "library/model.so is not a plain file"),
        (link_folder, "library is not a plain file"),
        (pipe, "library/model.so is not a plain file"),
    ],
)
def test_a_folder_that_is_not_as_sealed_is_refused(
    sealed: Path, spoil: Callable[[Path], None], named: str
) -> None:
    spoil(sealed)
    with pytest.raises(UserError, match=named):
        bundle.verify(sealed)


def forge(root: Path, **changes: object) -> None:
    """A manifest changed by somebody who knows how it is made."""
    manifest = json.loads((root / bundle.MANIFEST).read_text()) | changes
    del manifest["sha256"]
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (root / bundle.MANIFEST).write_text(json.dumps({**manifest, "sha256": digest}, indent=1) + "\n")


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "library/../../secret", "a\\..\\b", "./config.yaml", ""]
)
def test_a_manifest_that_leads_out_of_the_bundle_is_refused(sealed: Path, path: str) -> None:
    (sealed.parent / "secret").write_bytes(b"secret")
    entry = {"sha256": hashlib.sha256(b"secret").hexdigest(), "bytes": 6}
    forge(sealed, files=json.loads((sealed / bundle.MANIFEST).read_text())["files"] | {path: entry})
    with pytest.raises(UserError, match="leads out of the bundle"):
        bundle.verify(sealed)


def test_a_manifest_of_another_schema_is_refused(sealed: Path) -> None:
    forge(sealed, schema=99)
    with pytest.raises(UserError, match="is version 99"):
        bundle.verify(sealed)


def test_a_manifest_edited_by_hand_is_refused(sealed: Path) -> None:
    text = (sealed / bundle.MANIFEST).read_text()
    (sealed / bundle.MANIFEST).write_text(text.replace("cd34", "ef56"))
    with pytest.raises(UserError, match=r"manifest\.json is not as it was sealed"):
        bundle.verify(sealed)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "\x00", '{"schema": 1, "files": [], "sha256": ""}'])
def test_a_file_that_is_no_manifest_is_refused(sealed: Path, text: str) -> None:
    (sealed / bundle.MANIFEST).write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        bundle.verify(sealed)


def test_a_bundle_without_its_manifest_is_none(sealed: Path, tmp_path: Path) -> None:
    (sealed / bundle.MANIFEST).unlink()
    with pytest.raises(UserError, match=r"manifest\.json is missing"):
        bundle.verify(sealed)
    with pytest.raises(UserError, match="there is no bundle"):
        bundle.verify(tmp_path / "nowhere")
