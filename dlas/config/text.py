"""Settings that are declared as text: what is typed for them is text, however much it looks like a number."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_type_hints

from dlas.errors import UserError


@cache
def hints(cls: type) -> Mapping[str, Any]:
    """The declared types of a dataclass, by the names of its fields."""
    return get_type_hints(cls)


def is_text(cls: type, path: Sequence[str]) -> bool:
    """Whether the field of the dataclass, or of one inside of it, is a string, or a string or null."""
    name, *inner = path
    declared = hints(cls).get(name)
    if not inner:
        return declared is str or set(get_args(declared)) == {str, type(None)}
    return isinstance(declared, type) and dataclasses.is_dataclass(declared) and is_text(declared, inner)


def require_characters(key: str, text: str) -> None:
    """UserError where the text has bytes that the locale's encoding could not turn into characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{text!a} has characters that this locale lacks ({sys.getfilesystemencoding()})",
            key=key,
            remedy="a locale with UTF-8, such as LC_ALL=C.UTF-8, or PYTHONUTF8=1",
        ) from None
