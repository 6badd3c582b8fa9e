"""The `key=value` arguments of a small command."""

from __future__ import annotations

import dataclasses
import json
import keyword
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from yaml import YAMLError

from dlas.config.merging import merged
from dlas.config.text import is_text, require_characters
from dlas.errors import UserError, require

Options = TypeVar("Options")


def options(cls: type[Options], arguments: list[str]) -> Options:
    """`key=value` arguments of a small command as its dataclass of options; `UserError` names a wrong one,
    and one without a value: YAML takes that for a null, which stands for the default.

    A text is taken as it is typed, unless it stands in quotes of its own. An option whose name Python keeps
    for itself, such as `from`, is a field with an underscore behind it.
    """
    typed: dict[str, str] = {}
    for argument in arguments:
        names = (option.name.rstrip("_") for option in dataclasses.fields(cast(Any, cls)))
        known = f"known: {', '.join(f'{name}=' for name in names)}"
        require_characters("arguments", argument)
        require("=" in argument, argument, "is not of the form key=value", known)
        key, _, value = argument.partition("=")
        key = f"{key}_" if keyword.iskeyword(key) else key
        require(bool(value.strip()), key, "has no value", f"{key}=<value>, or leave it out")
        require(
            key not in typed, key, f"is given twice, by {key}={typed.get(key)} and {argument}", "one of them"
        )
        typed[key] = value
    texts = {key for key in typed if is_text(cls, key.split("."))}
    lines = [f"{key}={_quoted(value) if key in texts else value}" for key, value in typed.items()]
    try:
        given = OmegaConf.from_dotlist(lines)
    except YAMLError:
        raise UserError(
            "cannot be read", key=" ".join(arguments), remedy="key=value, with quotes around odd characters"
        ) from None
    return cast(Options, merged(OmegaConf.structured(cls), given))


def _quoted(value: str) -> str:
    """The value as a text of YAML, which takes the strings of JSON; a null and what is quoted as it is."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value if quoted or value == "null" else json.dumps(value, ensure_ascii=False)
