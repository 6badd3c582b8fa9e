"""Make a `Stack` from composed YAML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf

from dlas.config import rules
from dlas.config.layers.compiler import OWN
from dlas.config.layers.compression import Compression
from dlas.config.layers.dataset import Dataset
from dlas.config.layers.tuner import Tuner
from dlas.config.merging import merged
from dlas.config.stack import GROUPS, OF_KERNELS, Stack
from dlas.config.text import require_characters
from dlas.errors import UserError, require
from dlas.interfaces import compression, dataset, tuner
from dlas.plugins import contracts
from dlas.plugins.finding import module_spec
from dlas.plugins.registry import (
    ALGORITHMS,
    COMPRESSIONS,
    DATASETS,
    FACTORIES,
    NETWORK_COMPILERS,
    TUNERS,
    Registry,
)

REGISTRIES: Mapping[type, Registry[Any]] = {Dataset: DATASETS, Tuner: TUNERS, Compression: COMPRESSIONS}

INTERFACES = {
    Dataset: dataset.Dataset,
    Tuner: tuner.Tuner,
    Compression: compression.Compression,
}


READS_ANOTHER = re.compile(r"\$\{(?!dlas\.)")
"""An interpolation that may read another part of a config: all but those of our own resolvers may."""

_parts: dict[tuple[object, str], Any] = {}
"""Groups of stacks that were right, by their classes and by what was given."""


def parse(composed: DictConfig) -> Stack:
    """The composed YAML as a `Stack`, every field of its declared type and range.

    Raises `UserError` naming the key of the first thing that is wrong.
    """
    composed = _with_own_kernels(_with_lasting_names(composed))
    classes = {
        group: _declared_class(composed, group, declared) for group, declared in _declared_classes().items()
    }
    steps = tuple(_compression_classes(composed).items())
    stack = _of_parts(_schema(tuple(classes.items()), steps), {**classes, "compression": steps}, composed)
    rules.check(stack)
    artifacts = str(Path(stack.artifacts).expanduser().absolute())
    require_characters("artifacts", artifacts)
    return dataclasses.replace(stack, artifacts=artifacts)


def _of_parts(schema: DictConfig, classes: Mapping[str, object], composed: DictConfig) -> Stack:
    """The stack, whose groups are those of earlier ones wherever the same was given: points of a sweep differ
    in few."""
    given = cast(dict[str, Any], OmegaConf.to_container(composed))
    if not given.keys() <= schema.keys() or READS_ANOTHER.search(repr(given)):
        return cast(Stack, merged(schema, composed))
    names = {group: (declared, repr(given[group])) for group, declared in classes.items() if group in given}
    left = [str(key) for key in schema if names.get(str(key)) not in _parts]
    new = merged(OmegaConf.masked_copy(schema, left), OmegaConf.masked_copy(composed, left))
    found = cast(dict[str, Any], new)
    _parts.update({names[group]: part for group, part in found.items() if group in names})
    return Stack(**{key: found[key] if key in found else _parts[names[key]] for key in map(str, schema)})


@cache
def _declared_classes() -> Mapping[str, type]:
    """The classes of the groups that are one dataclass."""
    hints = get_type_hints(Stack).items()
    return {
        group: declared
        for group, declared in hints
        if isinstance(declared, type) and dataclasses.is_dataclass(declared)
    }


@cache
def _schema(classes: tuple[tuple[str, type], ...], steps: tuple[tuple[str, type], ...]) -> DictConfig:
    """The schema of a stack whose groups, and whose steps of compression, are of these classes. Points share
    it, since nothing is merged into it but into a copy."""
    schema = OmegaConf.structured(Stack)
    OmegaConf.set_readonly(schema, False)
    for group, declared in classes:
        schema[group] = declared
    schema["compression"] = dict(steps)
    return cast(DictConfig, schema)


def _declared_class(composed: DictConfig, group: str, base: type) -> type:
    """`base`, or what extends it where options differ in their settings."""
    choice = composed.get(group)
    if group in GROUPS:
        remedy = f"{group}=<option>; dlas-run --help lists them"
        named = isinstance(choice, DictConfig) and "name" in {*choice}
        require(named, group, "no option is chosen, or its YAML has no name", remedy)
    is_own = base is Tuner and choice.get("name") == OWN
    return _settings_class(choice, group, base) if base in (Dataset, Tuner) and not is_own else base


def _compression_classes(composed: DictConfig) -> dict[str, type]:
    """The `Settings` of each step, by its name."""
    steps, remedy = composed.get("compression"), "compression=<option>; dlas-run --help lists them"
    require(isinstance(steps, DictConfig), "compression", "no option is chosen", remedy)
    own = steps.get("name")
    problem = f"the YAML of '{own}' does not tell where its settings belong"
    require(not isinstance(own, str), "compression", problem, f"begin it with: # @package compression.{own}")
    classes = {}
    for name, step in steps.items():
        key = f"compression.{name}"
        remedy = f"settings of a step stand under its name: compression.<option>.{name}"
        require(isinstance(step, DictConfig), key, "is no compression", remedy)
        classes[str(name)] = _settings_class(step, key, Compression)
    return classes


def _settings_class(choice: DictConfig, group: str, base: type) -> type:
    """The `Settings` of the implementation that the group's YAML names."""
    registry = REGISTRIES[base]
    field = "name" if OmegaConf.is_missing(choice, "module") or choice.get("module") is None else "module"
    name, key = OmegaConf.select(choice, field, throw_on_missing=False), f"{group}.{field}"
    require(isinstance(name, str), key, f"'{name}' is no {registry.kind}", registry.remedy())
    registry.require(key, name)
    try:
        module = registry.load(name)
    except ImportError as error:
        raise UserError(
            f"'{name}' could not be imported: {error}", key=key, remedy="install what it needs"
        ) from None
    settings = getattr(module, "Settings", None)
    lacking = contracts.of_module(module, INTERFACES[base])
    if not (isinstance(settings, type) and issubclass(settings, base)):
        lacking.insert(0, f"it has no Settings, a frozen dataclass Settings(dlas.config.{base.__name__})")
    contracts.require_none(lacking, key, name, registry.kind, INTERFACES[base])
    return cast(type, settings)


def _with_lasting_names(composed: DictConfig) -> DictConfig:
    """The same stack, however its implementations are written: by the names of the registry, and by no more
    than the name of the option where that says it. An option of the package that another implementation was
    given to (`algo=direct algo.module=gemm`) is called as that one: its numbers are no longer those of
    `direct`."""
    named = composed.copy()
    OmegaConf.set_readonly(named, False)
    steps = composed.get("compression")
    _rename(named.get("dataset"), "dataset.module", DATASETS)
    _rename(named.get("model"), "model.factory", FACTORIES)
    for name, step in named.compression.items() if isinstance(steps, DictConfig) else ():
        _rename(step, f"compression.{name}.module", COMPRESSIONS)
    _rename(named.get("algo"), "algo.module", ALGORITHMS)
    _rename(named.get("tuner"), "tuner.module", TUNERS)
    candidates = OmegaConf.select(named, "algo.candidates", throw_on_missing=False)
    if isinstance(candidates, ListConfig):
        named.algo.candidates = [
            ALGORITHMS.name(given) if isinstance(given, str) else given for given in candidates
        ]
    return named


def _with_own_kernels(composed: DictConfig) -> DictConfig:
    """The same stack, in which a compiler that has kernels of its own stands beside these for algorithm,
    format and tuner, whatever was declared."""
    compiler = OmegaConf.select(composed, "compiler.name", throw_on_missing=False)
    if compiler not in NETWORK_COMPILERS.names():
        return composed
    own = composed.copy()
    OmegaConf.set_readonly(own, False)
    own.compiler = {"name": compiler}
    for group in OF_KERNELS:
        own[group] = {"name": OWN}
    return own


def _rename(choice: object, key: str, registry: Registry[Any]) -> None:
    if not isinstance(choice, DictConfig):
        return
    field = key.rpartition(".")[2]
    given = OmegaConf.select(choice, field, throw_on_missing=False)
    if not isinstance(given, str):
        return
    name, called = _name(given, key, registry), choice.get("name")
    choice[field] = None if name == called else name
    if name != called and called in registry.names() and registry is not COMPRESSIONS:
        # Steps of compression alone keep their names, by which their settings stand.
        choice["name"] = name
        choice[field] = None if name in registry.names() else name


def _name(given: str, key: str, registry: Registry[Any]) -> str:
    """UserError where a module is called both by a name of dlas's own and, at the top, by a user's."""
    own = module_spec(given) if registry is not FACTORIES and given in registry.names() else None
    if own is not None and own.origin is not None:
        raise UserError(
            f"'{given}' is {registry.path(given)} and {own.origin}",
            key=key,
            remedy=f"{registry.path(given)} for the first; move the other into a package: my_package.{given}",
        )
    return registry.name(given)
