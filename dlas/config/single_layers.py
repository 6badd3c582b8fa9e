"""Single layers for the commands that need no whole stack, composed as `dlas.run` composes them.

python -m dlas.redeploy run=<run id> target=mine target.cores=2 --config-dir my_conf
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from omegaconf import OmegaConf

from dlas.config import own_options
from dlas.config.layers.target import Target
from dlas.config.layers.timing import Timing
from dlas.config.merging import merged
from dlas.config.places import config_folder
from dlas.errors import require

Options = TypeVar("Options")


@dataclass(frozen=True)
class LayerArguments:
    """Arguments about layers, beside the choice of an option."""

    settings: tuple[str, ...] = ()
    """Settings such as `target.cores=2`."""
    folders: tuple[str, ...] = ()
    """Folders with options beside the package's own."""

    def require_none_of(self, layer: str) -> None:
        """UserError for a setting of a layer of which no option was chosen."""
        for setting in self.settings:
            key = setting.partition("=")[0]
            require(
                not key.startswith(f"{layer}."), key, f"no {layer} is chosen", f"{layer}=<name> beside it"
            )


NOTHING = LayerArguments()


def layer_arguments(arguments: Sequence[str], *layers: str) -> tuple[LayerArguments, list[str]]:
    """Split arguments into those that set the layers' keys or name folders of options, and all others.

    UserError for a folder that is not there, or has options by names of the package's own.
    """
    folders, left = own_options.taken(arguments)
    settings: list[str] = []
    others: list[str] = []
    for argument in left:
        layer, inner, _ = argument.partition("=")[0].partition(".")
        (settings if layer in layers and inner else others).append(argument)
    return LayerArguments(tuple(settings), folders), others


def declared_target(name: str, arguments: LayerArguments = NOTHING) -> Target:
    """The option of that name; UserError where there is none, or a setting is wrong."""
    return _declared("target", name, Target, arguments)


def declared_timing(name: str, arguments: LayerArguments = NOTHING) -> Timing:
    """The timing option of that name; UserError where there is none, or a setting is wrong."""
    return _declared("timing", name, Timing, arguments)


def _declared(layer: str, name: str, cls: type[Options], arguments: LayerArguments) -> Options:
    from hydra import compose, initialize_config_dir

    from dlas.config import typed
    from dlas.config.composing import refusal

    settings = [one for one in arguments.settings if one.startswith(f"{layer}.")]
    overrides = typed.checked([f"{layer}={name}", *settings])
    if arguments.folders:
        overrides.append(f"{own_options.SEARCH_PATH}={json.dumps(arguments.folders, ensure_ascii=False)}")
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            composed = compose("config", overrides)
    except Exception as error:
        mistake = refusal(error)
        if mistake is None:
            raise
        raise mistake from None
    schema = OmegaConf.create({layer: OmegaConf.structured(cls)})
    found = cast(dict[str, Options], merged(schema, OmegaConf.masked_copy(composed, layer)))
    return found[layer]
