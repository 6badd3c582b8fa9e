"""Single options, as the package's own YAML declares them."""

from __future__ import annotations

from typing import TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from dlas.config.layers.target import Target
from dlas.config.layers.timing import Timing
from dlas.config.merging import merged
from dlas.config.places import config_folder
from dlas.errors import require

Options = TypeVar("Options")


def declared_target(name: str) -> Target:
    """What `conf/target/<name>.yaml` says; UserError where there is none."""
    return _declared("target", name, Target)


def declared_timing(name: str) -> Timing:
    """What `conf/timing/<name>.yaml` says; UserError where there is none."""
    return _declared("timing", name, Timing)


def _declared(group: str, name: str, cls: type[Options]) -> Options:
    folder = config_folder() / group
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    require(name in known, group, f"there is no {group} '{name}'", f"one of: {', '.join(known)}")
    written = cast(DictConfig, OmegaConf.load(folder / f"{name}.yaml"))
    return cast(Options, merged(OmegaConf.structured(cls), written))
