"""From composed YAML to a `Stack`."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import cast, get_type_hints

from omegaconf import DictConfig, OmegaConf

from dlas.config import rules
from dlas.config.compression import Compression
from dlas.config.dataset import Dataset
from dlas.config.merging import merged
from dlas.config.stack import GROUPS, Stack
from dlas.config.tuner import Tuner
from dlas.errors import UserError, require
from dlas.finding import require_module


def parse(composed: DictConfig) -> Stack:
    """The composed YAML as a `Stack`, every field of its declared type and range.

    Raises `UserError` naming the key of the first thing that is wrong.
    """
    schema = OmegaConf.structured(Stack)
    OmegaConf.set_readonly(schema, False)
    for group, declared in get_type_hints(Stack).items():
        if isinstance(declared, type) and dataclasses.is_dataclass(declared):
            schema[group] = _declared_class(composed, group, declared)
    schema["compression"] = _compression_classes(composed)
    stack = cast(Stack, merged(schema, composed))
    rules.check(stack)
    return dataclasses.replace(stack, artifacts=str(Path(stack.artifacts).expanduser().absolute()))


def _declared_class(composed: DictConfig, group: str, base: type) -> type:
    """`base`, or what extends it where options differ in their settings."""
    choice = composed.get(group)
    if group in GROUPS:
        remedy = f"{group}=<option>; dlas-run --help lists them"
        require(isinstance(choice, DictConfig), group, "no option is chosen", remedy)
    return _settings_class(choice, group, base) if base in (Dataset, Tuner) else base


def _compression_classes(composed: DictConfig) -> dict[str, type]:
    """The `Settings` of each step, by its name."""
    steps, remedy = composed.get("compression"), "compression=<option>; dlas-run --help lists them"
    require(isinstance(steps, DictConfig), "compression", "no option is chosen", remedy)
    classes = {}
    for name, step in steps.items():
        key = f"compression.{name}"
        remedy = f"settings of a step stand under its name: compression.<option>.{name}"
        require(isinstance(step, DictConfig), key, "is no compression", remedy)
        classes[str(name)] = _settings_class(step, key, Compression)
    return classes


def _settings_class(choice: DictConfig, group: str, base: type) -> type:
    """The `Settings` of the module that the group's YAML names."""
    path, key = OmegaConf.select(choice, "module", throw_on_missing=False), f"{group}.module"
    require(isinstance(path, str), key, f"'{path}' is no module", "the dotted path of a Python module")
    require_module(key, path)
    try:
        settings = getattr(importlib.import_module(path), "Settings", None)
    except ImportError as error:
        raise UserError(
            f"'{path}' could not be imported: {error}", key=key, remedy="install what it needs"
        ) from None
    fits = isinstance(settings, type) and issubclass(settings, base)
    require(
        fits, key, f"'{path}' has no Settings", f"a frozen dataclass Settings(dlas.config.{base.__name__})"
    )
    return cast(type, settings)
