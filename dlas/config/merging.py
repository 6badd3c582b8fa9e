"""Merging what was given into what was declared; OmegaConf's complaints as a person reads them."""

from __future__ import annotations

import dataclasses
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, OmegaConf, StringNode
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from dlas.errors import UserError

ELEMENTS = {int: "whole numbers", float: "numbers", str: "texts; a number in quotes is one"}
MIXED = "Cannot merge DictConfig with ListConfig"


def merged(schema: DictConfig, given: DictConfig) -> object:
    """The dataclass that `schema` stands for, with what was given; raises `UserError`."""
    _make_writable(schema)
    try:
        _require_shapes(schema, given, "")
        return OmegaConf.to_object(OmegaConf.merge(schema, given))
    except OmegaConfBaseException as error:
        raise explained(error) from None


def _make_writable(node: DictConfig) -> None:
    """Make the node and those in it writable: frozen dataclasses make read-only ones, which could not be
    merged into."""
    OmegaConf.set_readonly(node, False)
    for key in node:
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not (child._is_missing() or child._is_none()):
            _make_writable(child)


def _require_shapes(schema: DictConfig, given: DictConfig, path: str) -> None:
    """A group where the schema has one, and a list where it has one: OmegaConf's words for anything else
    name its own classes, or no key. And a text where it has one, which OmegaConf would make of anything."""
    for name in map(str, schema):
        declared = schema._get_node(name)
        if name not in given:
            continue
        key, value = f"{path}{name}", given._get_node(name)
        if isinstance(declared, ListConfig):
            _require_list(declared, value, key)
        elif isinstance(declared, StringNode):
            _require_text(declared, value, key)
        elif isinstance(declared, DictConfig):
            if not isinstance(value, DictConfig) or value._is_none():
                known = ", ".join(f"{key}.{setting}" for setting in map(str, declared))
                raise UserError(
                    f"'{value}' stands where a group belongs", key=key, remedy=f"settings: {known}"
                )
            _require_shapes(declared, value, f"{key}.")


def _require_text(declared: StringNode, value: Any, key: str) -> None:
    """A number in a YAML file may have been written in another way than it is read (007, 1_000, 1e5), and
    an empty text would be the working directory where a folder is meant."""
    if value._is_missing() or value._is_interpolation() or isinstance(value, Container):
        return
    found = value._value()
    if isinstance(found, bool | int | float):
        remedy = f"in quotes it is a text: '{found}', or however it was written"
        raise UserError(f"{found} is a number where a text belongs", key=key, remedy=remedy)
    if isinstance(found, str) and found.startswith("~"):
        _require_home(found, key)
    if declared._is_optional() and isinstance(found, str) and not found.strip():
        raise UserError("has no value", key=key, remedy=f"null for none, or {key}=<value>")


def _require_home(path: str, key: str) -> None:
    try:
        Path(path).expanduser()
    except RuntimeError:
        problem = f"nobody's home is known by {path.partition('/')[0]}"
        raise UserError(problem, key=key, remedy="a path without ~, or HOME=<folder>") from None


def _require_list(declared: ListConfig, value: Any, key: str) -> None:
    """The elements by OmegaConf's own rules, as whole numbers for `list[int]`."""
    if value._is_missing() or value._is_interpolation() or (value._is_none() and declared._is_optional()):
        return
    element = declared._metadata.element_type
    plain = OmegaConf.to_container(value, resolve=True) if isinstance(value, Container) else value._value()
    try:
        if isinstance(plain, list) and (element is not str or all(isinstance(one, str) for one in plain)):
            ListConfig(plain, element_type=element)
            return
    except ValidationError:
        pass
    kind = ELEMENTS.get(element, "values")
    example = "[...]" if declared._is_none() else _typed(OmegaConf.to_container(declared))
    raise UserError(f"{_typed(plain)} is no list of {kind}", key=key, remedy=f"the form is {key}={example}")


def _typed(value: Any) -> str:
    """Write the value as it would be typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return "null" if value is None else str(value)


def _deeper(node: Container, group: str, name: str) -> str:
    """Question whether the key of that name one level below was meant: compression.channel_pruning.ratio for
    compression.ratio; "" where there is none."""
    plain = OmegaConf.to_container(node)
    for child, inner in plain.items() if isinstance(plain, dict) else ():
        if isinstance(inner, dict) and name in inner:
            return f"did you mean '{group}{'.' * bool(group)}{child!s}.{name}'? "
    return ""


def explained(error: OmegaConfBaseException) -> UserError:
    """OmegaConf's exception as the sentence that a person reads."""
    key = error.full_key or str(error.key or "")
    problem = str(error.msg or error).partition("\n")[0]
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and error.parent_node is not None:
        known = sorted(str(name) for name in error.parent_node if name != "hydra")
        group, _, name = key.rpartition(".")
        owner = f" of {group}" if group else ""
        meant = _deeper(error.parent_node, group, name) or nearest(name, known)
        return UserError("unknown key", key=key, remedy=f"{meant}known keys{owner}: {', '.join(known)}")
    if isinstance(error, MissingMandatoryValue):
        return UserError("no value is given", key=key, remedy=f"add it: {key}=<value>")
    if isinstance(error, ValidationError) and error.parent_node is not None:
        return UserError(problem, key=key, remedy=_expected(error))
    if problem == MIXED:
        return UserError(
            "a list stands where a group belongs, or a group where a list does",
            key=key,
            remedy="lists are written [a,b], and groups {a: b}",
        )
    if isinstance(error, InterpolationKeyError):
        return UserError(problem, key=key, remedy="it refers to a key that the config does not have")
    return UserError(problem, key=key)


def nearest(name: str, known: list[str]) -> str:
    """`did you mean 'x'? ` where a known name is close, else nothing."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'? " if close else ""


def _expected(error: OmegaConfBaseException) -> str:
    """The declared type of the field that a value did not fit."""
    owner = error.object_type
    name = str(error.key)
    if isinstance(owner, type) and dataclasses.is_dataclass(owner):
        declared = {option.name: option.type for option in dataclasses.fields(owner)}
        if name in declared:
            return f"expected: {getattr(declared[name], '__name__', declared[name])}"
    return ""
