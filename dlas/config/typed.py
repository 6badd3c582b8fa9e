"""The arguments of `dlas.run` as they were typed, before Hydra reads them.

Hydra takes flags only before or after all overrides, the last of two overrides of one key, and the last of
several options of a layer, each without a word; and its grammar makes a number of `1_000` and `1e5` before
anything knows that a name of a folder is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from dlas.config import own_options
from dlas.config.layers.compression import Compression
from dlas.config.layers.dataset import Dataset
from dlas.config.layers.tuner import Tuner
from dlas.config.stack import GROUPS, Stack
from dlas.config.text import is_text, require_characters
from dlas.errors import UserError, require
from dlas.plugins.registry import COMPRESSIONS, DATASETS, TUNERS, Registry

SEVERAL = "compression"
"""The one layer that takes several options, in order."""

ALONE = ("run", "multirun", "cfg", "info", "shell_completion")
"""Flags of Hydra's that each say what is done."""

OWN_SETTINGS: Mapping[str, tuple[Registry[Any], type]] = {
    "dataset": (DATASETS, Dataset),
    "tuner": (TUNERS, Tuner),
    SEVERAL: (COMPRESSIONS, Compression),
}
"""Layers whose options have settings of their own."""


def in_order(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra takes them: flags first, then overrides, each text of a setting as text.

    UserError for a flag that there is not, flags that exclude each other, a key that is given twice, a list
    for a layer that takes one option, and for folders of options as `own_options.taken`.
    """
    for argument in arguments:
        require_characters("arguments", argument)
    flags, overrides = _apart(arguments)
    own_options.taken(arguments)
    return [*flags, *checked(overrides)]


def checked(overrides: Sequence[str]) -> list[str]:
    """The overrides, each text of a setting as text; UserError as `in_order`, but of flags."""
    read = [one for one in map(_read, overrides) if one is not None]
    _require_once(read)
    for one in read:
        _require_one_option(one)
    return [_with_text(override) for override in overrides]


def _with_text(override: str) -> str:
    """The override, with quotes around what Hydra would not read as the text that its setting takes."""
    key, given, value = override.partition("=")
    if not given or not value or not _takes_text(key.lstrip("+")):
        return override
    read = _read(override)
    if read is None:
        return f"{key}={_quoted(value)}"
    found = read.value()
    if not isinstance(found, ChoiceSweep):
        return f"{key}={_quoted(value)}" if _is_number(found) else override
    texts = value.split(",")
    if not found.simple_form or len(texts) != len(found.list):
        return override
    kept = (_quoted(text) if _is_number(one) else text for text, one in zip(texts, found.list, strict=True))
    return f"{key}={','.join(kept)}"


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides, wherever they stand."""

    def refuse(message: str) -> NoReturn:
        remedy = "layer=option and key=value; --hydra-help lists the flags"
        raise UserError(message, key="arguments", remedy=remedy)

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    read = parser.parse_intermixed_args(arguments)
    alone = [f"--{flag.replace('_', '-')}" for flag in ALONE if getattr(read, flag)]
    remedy = "one of them; --plan -m tells of the points of a sweep"
    require(len(alone) < 2, "arguments", f"{' and '.join(alone)} exclude each other", remedy)
    if read.resolve and not read.cfg and not read.help:
        refuse("--resolve goes with --cfg")
    overrides: list[str] = read.overrides
    flags, left = [], list(overrides)
    for argument in arguments:
        if left and argument == left[0]:
            del left[0]
        else:
            flags.append(argument)
    return flags, overrides


def _read(override: str) -> Override | None:
    """The override by Hydra's grammar; None where that cannot read it."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def _require_once(overrides: Sequence[Override]) -> None:
    seen: dict[str, Override] = {}
    for one in overrides:
        key = one.get_key_element().lstrip("+~")
        before = seen.setdefault(key, one)
        if before is not one:
            problem = f"is given twice, by {before.input_line} and {one.input_line}"
            remedy = "one of them"
            if not one.is_delete() and not before.is_delete():
                both = f"{before.get_value_string()},{one.get_value_string()}"
                remedy += f"; for a sweep over both: dlas-run -m {key}={both}"
            raise UserError(problem, key=key, remedy=remedy)


def _require_one_option(override: Override) -> None:
    key = override.key_or_group
    if key not in GROUPS or key == SEVERAL:
        return
    value = override.value()
    for chosen in value.list if isinstance(value, ChoiceSweep) else [value]:
        names = ",".join(map(str, chosen)) if isinstance(chosen, list) else ""
        remedy = f"{key}=<option>; for a sweep over several: dlas-run -m {key}={names or '<option>,<option>'}"
        require(not isinstance(chosen, list), key, f"takes one option, and [{names}] is a list", remedy)


def _takes_text(key: str) -> bool:
    layer, *path = key.split(".")
    if layer not in OWN_SETTINGS or not path:
        return is_text(Stack, (layer, *path))
    registry, base = OWN_SETTINGS[layer]
    names = registry.names()
    if layer == SEVERAL:
        step, *path = path
        names = [step] if step in names else []
    classes = [base, *(getattr(registry.load(name), "Settings", base) for name in names)]
    return bool(path) and any(is_text(cls, path) for cls in classes)


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _quoted(text: str) -> str:
    return QuotedString(text.strip(), Quote.single).with_quotes()
