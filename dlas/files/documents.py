"""JSON documents with a version, which later versions of this package go on reading.

    TARGET = Document("target", version=2, converters=(with_reach,))
    write(TARGET, path, values)                 {"schema": 2, **values}
    read(TARGET, path) -> values                of version 2, whatever version was written
    checked(Target, values, TARGET, source)     the dataclass with these values, each of its declared type

A document is an object. Its version stands under "schema"; where none does, it is the first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dlas.errors import UserError
from dlas.files.plain_files import read_plain
from dlas.printable import printable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = "schema"
MAX_BYTES = 1 << 24
DEEPEST = 20
"""Largest depth of objects and lists within each other: as deep as any document here goes, and far from
Python's own limit."""

INTEGER_BITS = 63
"""Largest number of bits of a whole number, without its sign: more than 64-bit counters and sizes need."""

MANY_DIGITS, ALL_ZERO = b"0" * 19, bytes.maketrans(b"123456789", b"0" * 9)
"""As many digits as a number of more bits has, at least, once each digit is a zero."""

CONTAINERS = (dict, list)

Values = dict[str, Any]
Checked = TypeVar("Checked")
Converter = Callable[[Values], Values]
"""Takes the values of one version and gives those of the next. They are not checked yet: a LookupError,
TypeError, ValueError or AttributeError from it means that the document is damaged, and is told so."""


@dataclass(frozen=True)
class Document:
    """A kind of JSON document."""

    name: str
    """Name for messages, with no article: `manifest of a bundle`."""
    version: int = 1
    """Version that is written, and that `read` gives."""
    converters: tuple[Converter, ...] = ()
    """Converters from version 1 to 2, from 2 to 3, and so on up to `version`."""
    largest_bytes: int = MAX_BYTES
    """Largest size of the file."""
    finite: bool = True
    """Whether NaN and the infinities, which are no JSON, are refused."""

    def __post_init__(self) -> None:
        if len(self.converters) != self.version - 1:
            raise ValueError(
                f"{self.version} versions of {self.name} need a converter from each but the last"
            )


def text(document: Document, values: Mapping[str, Any]) -> str:
    """The document as text, with its version first. ValueError for a number that is not finite where
    such are refused."""
    whole = {SCHEMA: document.version, **values}
    return f"{json.dumps(whole, indent=1, allow_nan=not document.finite)}\n"


def write(document: Document, path: Path, values: Mapping[str, Any]) -> None:
    """Write the values into the file; errors as those of `text`."""
    path.write_text(text(document, values), encoding="utf-8")


def read(document: Document, path: Path) -> Values:
    """The values of the document in the file, without its version, as this version writes them.

    Raises UserError, naming the file: it is missing, no plain file, or larger than a document of its kind;
    it is no such document; or a newer version wrote it. Which values there are is the caller's to check.
    """
    return parse(document, content(document, path), printable(path))


def content(document: Document, path: Path) -> bytes:
    """The document's file as it is. UserError, naming the file: it is missing, no plain file or too large."""
    return read_plain(path, document.largest_bytes)


def parse(document: Document, content: bytes, source: str) -> Values:
    """The values in the content of a file, as `read` gives them; messages call the file `source`."""
    values = _object(document, content, source)
    version = values.pop(SCHEMA, 1)
    if type(version) is not int or version < 1:
        raise _none(
            document, source, f"its version is {printable(repr(version))}, not a whole number from 1 on"
        )
    if version > document.version:
        raise UserError(
            f"is version {version} of a {document.name}, and this dlas reads up to {document.version}",
            key=source,
            remedy="Use the version of dlas that wrote it, or a newer one.",
        )
    for converter in document.converters[version - 1 :]:
        try:
            values = converter(values)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _none(document, source, f"version {version} has other values: {printable(error)}") from None
    return values


def checked(cls: type[Checked], values: Mapping[str, Any], document: Document, source: str) -> Checked:
    """The dataclass `cls` with the document's values: each is there and of its declared type, or has a
    default. UserError that names the first that is not; values without a field are left out."""
    from pydantic import ValidationError

    try:
        # As JSON again: there a list is a tuple, and a key a number, without being taken for other types.
        found: Checked = _checker(cast(Any, cls)).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"{part}." for part in first["loc"])
        reason = f"{where.removesuffix('.')}: {first['msg']}" if where else first["msg"]
        raise _none(document, source, printable(reason)) from None
    return found


@cache
def _checker(cls: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _object(document: Document, content: bytes, source: str) -> Values:
    read_number = _finite if document.finite else float
    # Samples come by the thousand: each whole number is looked at only where one may be too large.
    read_whole = _integer if MANY_DIGITS in content.translate(ALL_ZERO) else int
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=read_number, parse_float=read_number, parse_int=read_whole
        )
    except UnicodeDecodeError:
        raise _none(document, source, "it is no text in UTF-8") from None
    except RecursionError:
        raise _none(document, source, "it is nested too deeply") from None
    except ValueError as error:
        raise _none(document, source, f"it is no JSON: {printable(error)}") from None
    if not isinstance(value, dict):
        raise _none(document, source, "it is no JSON object")
    if not _is_shallow(value):
        raise _none(document, source, "it is nested too deeply")
    return value


def _is_shallow(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(DEEPEST - 1):
        level = [inner for one in level for inner in _inside(one) if isinstance(inner, CONTAINERS)]
    return not any(level)


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no finite number")
    return value


def _integer(number: str) -> int:
    value = int(number)
    if value.bit_length() > INTEGER_BITS:
        raise ValueError(f"{number} is too large")
    return value


def _none(document: Document, source: str, reason: str) -> UserError:
    return UserError(f"is no {document.name}: {reason}", key=source)
