"""The key of a stage: the hash of its fields, of the code that does its work and of the versions it calls."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from dlas.files.keyed import Keyed
from dlas.stages.stage import COUNTED, Kept, Stage
from dlas.stages.store.code.closure import code_of
from dlas.stages.store.code.first_read import Read, as_first_read

KEY_DIGITS = 24
"""Hexadecimal digits of a key: 96 bits."""


def inputs_of(stage: Stage[Any], read: Read = as_first_read) -> dict[str, Any]:
    """All that decides the stage's result, as plain JSON values under names that tell a person what they are.

    UserError for code that can't be found or read; TypeError for a field of a kind that no key can hold.
    """
    values = {field.name: _counted(stage, field) for field in fields(stage)}  # type: ignore[arg-type]
    code = code_of([type(stage).__module__, *stage.named_modules(), *_modules_of_classes(stage)], read)
    return {
        "fields": {name: _plain(value, name) for name, value in values.items()},
        "modules": dict(code.modules),
        "packages": dict(code.packages),
        "files": {_label(path): hashlib.sha256(read(path)).hexdigest() for path in stage.other_files()},
    }


def key_of(inputs: Mapping[str, Any]) -> str:
    """The first `KEY_DIGITS` of the sha256 of the inputs as canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_DIGITS]


def _counted(stage: Stage[Any], field: Any) -> Any:
    value = getattr(stage, field.name)
    return field.metadata[COUNTED](value) if COUNTED in field.metadata else value


def _plain(value: Any, name: str) -> Any:
    """The value as JSON holds it; `name` tells where it stands."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Kept):
        return value.name
    if isinstance(value, Keyed):
        return value.digest
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name), f"{name}.{each.name}") for each in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{name}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(each, str) for each in value):
        return {each: _plain(content, f"{name}.{each}") for each, content in value.items()}
    raise TypeError(f"{name} is a {type(value).__name__}, which stands in no key")


def _modules_of_classes(value: Any) -> set[str]:
    """Modules of the classes of all fields but earlier results: their methods are code that does the work
    too.

    The code behind an earlier result is in its own key.
    """
    if isinstance(value, Kept):
        return set()
    found: set[str] = set()
    if is_dataclass(value) or isinstance(value, Keyed):
        found.add(type(value).__module__)
    if is_dataclass(value) and not isinstance(value, Keyed):
        for each in fields(value):
            found |= _modules_of_classes(getattr(value, each.name))
    elif isinstance(value, list | tuple):
        found = found.union(*(_modules_of_classes(each) for each in value))
    elif isinstance(value, Mapping):
        found = found.union(*(_modules_of_classes(each) for each in value.values()))
    return found


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
