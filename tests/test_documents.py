"""Versioned JSON documents: old versions are converted, and whatever is no document is told in a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document, Values


def named_apart(values: Values) -> Values:
    first, last = values.pop("name").split(" ")
    return {**values, "first": first, "last": last}


def counted(values: Values) -> Values:
    return {**values, "count": len(values["list"])}


PERSON = Document("person", version=3, converters=(named_apart, counted), largest_bytes=10_000)


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "Ada Lovelace", "list": [1, 2]}',
        '{"schema": 1, "name": "Ada Lovelace", "list": [1, 2]}',
        '{"schema": 2, "first": "Ada", "last": "Lovelace", "list": [1, 2]}',
        '{"schema": 3, "first": "Ada", "last": "Lovelace", "list": [1, 2], "count": 2}',
    ],
)
def test_every_version_reads_as_the_newest(written: str, tmp_path: Path) -> None:
    path = tmp_path / "person.json"
    path.write_text(written)
    values = documents.read(PERSON, path)
    assert values == {"first": "Ada", "last": "Lovelace", "list": [1, 2], "count": 2}
    documents.write(PERSON, path, values)
    assert documents.read(PERSON, path) == values
    assert '"schema": 3' in path.read_text()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 << 30)


def content(text: str | bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is missing"),
        (Path.mkdir, "is a folder, and no plain file"),
        (pipe, "is a pipe, and no plain file"),
        (link, "is a link, and no plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link, and no plain file"),
        (sparse, "more than 10000 bytes"),
        (content(b'{"a": "\xff"}'), "no text in UTF-8"),
        (content('{"a": '), "no JSON"),
        (content("[" * 5_000 + "]" * 5_000), "nested too deeply"),
        (content('{"a": ' + "[" * 30 + "]" * 30 + "}"), "nested too deeply"),
        (content(f'{{"a": {1 << 64}}}'), "too large"),
        (content('{"a": NaN}'), "NaN is no finite number"),
        (content('{"a": [-Infinity]}'), "-Infinity is no finite number"),
        (content('{"a": 1e999}'), "1e999 is no finite number"),
        (content(f'{{"a": {"9" * 5_000}}}'), "no JSON"),
        (content("[1, 2]"), "no JSON object"),
        (content('{"schema": 4}'), "version 4"),
        (content('{"schema": "1"}'), "its version is '1', not a whole number"),
        (content('{"schema": true}'), "its version is True, not a whole number"),
        (content('{"schema": 0}'), "its version is 0, not a whole number"),
        (content('{"name": 5}'), "is no person: version 1"),
        (content('{"schema": 2}'), "is no person: version 2"),
    ],
)
def test_what_is_no_document_is_told_in_a_sentence(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "person.json"
    make(path)
    with pytest.raises(UserError) as raised:
        documents.read(PERSON, path)
    assert said in str(raised.value)
    assert "person.json" in str(raised.value)


def test_names_of_files_are_printed_without_escape_codes(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb\u202e\udcff.json"
    path.write_bytes(b"[]")
    with pytest.raises(UserError) as raised:
        documents.read(PERSON, path)
    message = str(raised.value)
    assert message.isprintable()
    assert r"a\x1b[31m\nb\u202e\udcff.json" in message


def test_a_number_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        documents.write(PERSON, tmp_path / "person.json", {"a": float("nan")})
