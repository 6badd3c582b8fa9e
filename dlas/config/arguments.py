"""The `key=value` arguments of a small command."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from yaml import YAMLError

from dlas.config.merging import merged
from dlas.errors import UserError, require

Options = TypeVar("Options")


def options(cls: type[Options], arguments: list[str]) -> Options:
    """`key=value` arguments of a small command as its dataclass of options; `UserError` names a wrong one,
    and one without a value: YAML takes that for a null, which stands for the default."""
    for argument in arguments:
        known = f"known: {', '.join(f'{option.name}=' for option in dataclasses.fields(cast(Any, cls)))}"
        require("=" in argument, argument, "is not of the form key=value", known)
        key, _, value = argument.partition("=")
        require(bool(value.strip()), key, "has no value", f"{key}=<value>, or leave it out")
    try:
        given = OmegaConf.from_dotlist(arguments)
    except YAMLError:
        raise UserError(
            "cannot be read", key=" ".join(arguments), remedy="key=value, with quotes around odd characters"
        ) from None
    return cast(Options, merged(OmegaConf.structured(cls), given))
