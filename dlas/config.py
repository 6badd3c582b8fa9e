"""The declared stack as dataclasses: one choice per layer, and every rule about what is right.

Each group of `conf/` is one dataclass here. A compression or a tuner has settings of its own, so its YAML
names a module whose `Settings` extends `Compression` or `Tuner`. Every mistake is a `UserError` that names
the full key (`tuner.trials`) and what would be right. Nothing heavier than OmegaConf is imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.metadata
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from dlas.errors import UserError
from dlas.finding import module_exists

REPOSITORY = Path(__file__).resolve().parent.parent
DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")
FORMATS = ("dense",)
COMPILERS = ("tvm",)
# What else decides the numbers of a point: a new version of any of these makes it another point.
TOOLS = ("dlas", "apache-tvm", "numpy", "torch", "torch-pruning")

Options = TypeVar("Options")


def require(fits: bool, key: str, problem: str, remedy: str) -> None:
    """Raises `UserError` unless the value fits."""
    if not fits:
        raise UserError(problem, key=key, remedy=remedy)


@dataclass(frozen=True)
class Dataset:
    """Layer 1. `module` offers `load(config: Dataset) -> datasets.dataset.ImageDataset`."""

    name: str
    module: str
    root: str | None = None


@dataclass(frozen=True)
class Model:
    """Layer 2. `factory` is the dotted name of a function `(classes: int) -> torch.nn.Module`."""

    name: str
    factory: str


@dataclass(frozen=True)
class Train:
    """How the dense model is trained (SGD with momentum, OneCycle)."""

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "train.epochs", f"{self.epochs} is negative", "0 or more")
        require(self.batch_size >= 1, "train.batch_size", f"{self.batch_size} is too small", "1 or more")
        rate = self.learning_rate
        require(0 < rate < math.inf, "train.learning_rate", f"{rate} is no step", "more than 0")
        require(0 <= self.momentum < 1, "train.momentum", f"{self.momentum} is out of range", "0 to below 1")
        decay = self.weight_decay
        require(0 <= decay < math.inf, "train.weight_decay", f"{decay} is out of range", "0 or more")
        known = DEVICE.fullmatch(self.device) is not None
        require(
            known, "train.device", f"'{self.device}' is no device", "cpu, cuda, cuda:0 (and so on) or mps"
        )


@dataclass(frozen=True)
class Compression:
    """Layer 3. `module` offers `Settings`, a subclass of this one, and `compress`."""

    name: str
    module: str


@dataclass(frozen=True)
class Algo:
    """Layer 4. `module` offers the four functions of `dlas.algorithms`."""

    name: str
    module: str


@dataclass(frozen=True)
class Format:
    """Layer 4. How the weights are stored."""

    name: str

    def __post_init__(self) -> None:
        known = self.name in FORMATS
        require(known, "format.name", f"'{self.name}' is not built", f"one of: {', '.join(FORMATS)}")


@dataclass(frozen=True)
class Compiler:
    """Layer 5."""

    name: str
    opt_level: int = 3

    def __post_init__(self) -> None:
        known = self.name in COMPILERS
        require(known, "compiler.name", f"'{self.name}' is not built", f"one of: {', '.join(COMPILERS)}")
        level = self.opt_level
        require(0 <= level <= 3, "compiler.opt_level", f"{level} is out of range", "0, 1, 2 or 3")


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str


@dataclass(frozen=True)
class Target:
    """Layer 6: as declared; what a null stands for is asked of LLVM and the operating system."""

    name: str
    triple: str | None = None
    cpu: str | None = None
    cores: int | None = None

    def __post_init__(self) -> None:
        enough = self.cores is None or self.cores >= 1
        require(enough, "target.cores", f"{self.cores} is too small", "1 or more, or null for every core")


@dataclass(frozen=True)
class Timing:
    """How a library is timed: `runs` samples kept after `warmup` runs that are not."""

    name: str
    runs: int = 150
    warmup: int = 1

    def __post_init__(self) -> None:
        require(self.runs >= 1, "timing.runs", f"{self.runs} is too small", "1 or more")
        require(self.warmup >= 0, "timing.warmup", f"{self.warmup} is negative", "0 or more")


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps the runs; a null `uri` is MLFLOW_TRACKING_URI or `<artifacts>/mlflow.db`."""

    uri: str | None = None
    experiment: str = "dlas"

    def __post_init__(self) -> None:
        named = bool(self.experiment.strip())
        require(named, "tracking.experiment", "the experiment has no name", "a name such as dlas")


@dataclass(frozen=True)
class Stack:
    """One point: everything that was declared."""

    dataset: Dataset
    model: Model
    compression: Compression
    algo: Algo
    format: Format
    compiler: Compiler
    tuner: Tuner
    target: Target
    timing: Timing
    train: Train = field(default_factory=Train)
    tracking: Tracking = field(default_factory=Tracking)
    seed: int = 0
    artifacts: str = "artifacts"

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", f"{self.seed} is out of range", "0 to 4294967295")


def config_folder() -> Path:
    """The folder of the YAML files: inside the package once installed, beside it in a checkout."""
    inside = Path(__file__).resolve().parent / "conf"
    return inside if (inside / "config.yaml").exists() else REPOSITORY / "conf"


def home() -> Path:
    """The folder of `artifacts/`: the checkout, or the working directory of an installed package."""
    return REPOSITORY if config_folder().parent == REPOSITORY else Path.cwd()


def default_artifacts() -> Path:
    """What `artifacts` is where nothing else was asked for."""
    return home() / "artifacts"


OmegaConf.register_new_resolver("dlas.home", lambda: str(home()), replace=True)


def parse(composed: DictConfig) -> Stack:
    """The composed YAML as a `Stack`, every field of its declared type and range.

    Raises `UserError` naming the key of the first thing that is wrong.
    """
    schema = OmegaConf.structured(Stack)
    OmegaConf.set_readonly(schema, False)
    for group, declared in get_type_hints(Stack).items():
        if isinstance(declared, type) and dataclasses.is_dataclass(declared):
            extended = declared in (Compression, Tuner)
            schema[group] = _settings_class(composed, group, declared) if extended else declared
    stack = cast(Stack, _merged(schema, composed))
    check(stack)
    return dataclasses.replace(stack, artifacts=str(Path(stack.artifacts).expanduser().absolute()))


def check(stack: Stack) -> None:
    """What no single layer can see: that every implementation named by its dotted path is there."""
    for key, module in (
        ("dataset.module", stack.dataset.module),
        ("model.factory", stack.model.factory.rpartition(".")[0]),
        ("algo.module", stack.algo.module),
    ):
        _require_module(key, module)


def options(cls: type[Options], arguments: list[str]) -> Options:
    """`key=value` arguments of a small command as its dataclass of options; `UserError` names a wrong one."""
    for argument in arguments:
        known = f"known: {', '.join(f'{option.name}=' for option in dataclasses.fields(cast(Any, cls)))}"
        require("=" in argument, argument, "is not of the form key=value", known)
    return cast(Options, _merged(OmegaConf.structured(cls), OmegaConf.from_dotlist(arguments)))


def to_yaml(stack: Stack) -> str:
    """The resolved stack as YAML; `parse(OmegaConf.create(text))` gives the same stack again."""
    return OmegaConf.to_yaml(OmegaConf.structured(stack), sort_keys=True)


def flat(stack: Stack) -> dict[str, str]:
    """Every setting by its full key (`tuner.trials`), as text."""
    return dict(_leaves(dataclasses.asdict(stack), ""))


def identity(stack: Stack) -> str:
    """The sha256 (hex) of what decides a point: its settings less paths and URIs, and the tools' versions."""
    settings = dataclasses.asdict(stack)
    del settings["artifacts"], settings["tracking"], settings["dataset"]["root"]
    versions = {tool: _version(tool) for tool in TOOLS}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    canonical = json.dumps({"stack": settings, "versions": versions, "python": python}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def explained(error: OmegaConfBaseException) -> UserError:
    """OmegaConf's exception as the sentence that a person reads."""
    key = error.full_key or str(error.key or "")
    problem = str(error.msg or error).partition("\n")[0]
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and error.parent_node is not None:
        known = sorted(str(name) for name in error.parent_node if name != "hydra")
        group, _, name = key.rpartition(".")
        owner = f" of {group}" if group else ""
        return UserError(
            "unknown key", key=key, remedy=f"{nearest(name, known)}known keys{owner}: {', '.join(known)}"
        )
    if isinstance(error, MissingMandatoryValue):
        return UserError("no value is given", key=key, remedy=f"add it: {key}=<value>")
    if isinstance(error, ValidationError) and error.parent_node is not None:
        return UserError(problem, key=key, remedy=_expected(error))
    if isinstance(error, InterpolationKeyError):
        return UserError(problem, key=key, remedy="it refers to a key that the config does not have")
    return UserError(problem, key=key)


def nearest(name: str, known: list[str]) -> str:
    """`did you mean 'x'? ` where a known name is close, else nothing."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'? " if close else ""


def _merged(schema: DictConfig, given: DictConfig) -> object:
    """The dataclass that `schema` stands for, with what was given; raises `UserError`."""
    _make_writable(schema)
    _require_groups(schema, given, "")
    try:
        return OmegaConf.to_object(OmegaConf.merge(schema, given))
    except OmegaConfBaseException as error:
        raise explained(error) from None


def _make_writable(node: DictConfig) -> None:
    """Frozen dataclasses make read-only nodes, which could not be merged into."""
    OmegaConf.set_readonly(node, False)
    for key in node:
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not (child._is_missing() or child._is_none()):
            _make_writable(child)


def _require_groups(schema: DictConfig, given: DictConfig, path: str) -> None:
    """Where the schema has a group, a bare value does not fit; OmegaConf would not say at which key."""
    for name in map(str, schema):
        group, value = schema._get_node(name), given._get_node(name)
        if not isinstance(group, DictConfig) or value is None:
            continue
        key = f"{path}{name}"
        if not isinstance(value, DictConfig) or value._is_none():
            known = ", ".join(f"{key}.{setting}" for setting in map(str, group))
            raise UserError(f"'{value}' stands where a group belongs", key=key, remedy=f"settings: {known}")
        _require_groups(group, value, f"{key}.")


def _settings_class(composed: DictConfig, group: str, base: type) -> type:
    """The `Settings` of the module that the group's YAML names."""
    choice = OmegaConf.select(composed, group)
    if not isinstance(choice, DictConfig):
        raise UserError(
            "no option is chosen", key=group, remedy=f"{group}=<option>; dlas-run --help lists them"
        )
    path, key = OmegaConf.select(choice, "module", throw_on_missing=False), f"{group}.module"
    require(isinstance(path, str), key, f"'{path}' is no module", "the dotted path of a Python module")
    _require_module(key, path)
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


def _require_module(key: str, module: str) -> None:
    found = bool(module) and module_exists(module)
    remedy = "a dotted path that Python can import; PYTHONPATH=<folder> adds modules of your own"
    require(found, key, f"there is no module '{module}'", remedy)


def _expected(error: OmegaConfBaseException) -> str:
    """The declared type of the field that a value did not fit."""
    owner = error.object_type
    name = str(error.key)
    if isinstance(owner, type) and dataclasses.is_dataclass(owner):
        declared = {option.name: option.type for option in dataclasses.fields(owner)}
        if name in declared:
            return f"expected: {getattr(declared[name], '__name__', declared[name])}"
    return ""


def _leaves(settings: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{path}{name}.")
        else:
            leaves.append((f"{path}{name}", "null" if value is None else str(value)))
    return leaves


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"
