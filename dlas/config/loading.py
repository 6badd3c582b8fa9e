"""Hydra's loader of configs, made quick for many points: what they share is read and merged once.

Hydra reads every YAML file of a point anew, and merges all of them from the first to the last. Here files are
read once, and a point goes on from what an earlier one with the same first files was merged to; of points
that choose the same options only the settings are set anew. What is composed is the same:
`tests/test_loading.py` compares the two.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import Overrides
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict
from omegaconf.errors import OmegaConfBaseException

SEARCHED = "hydra.searchpath="
"""Beginning of an override that has files read from elsewhere."""

DEFAULTS_LEFT = "HYDRA_REMOVE_TOP_LEVEL_DEFAULTS"
"""Hydra's flag of a node that still has its list of defaults."""

HYDRAS_OWN = "hydra"
"""Key of Hydra's own part of a config."""

MOST_KEPT = 512
"""Number of merged configs that are kept, of about 20 kB each, and of those without settings, of 6 kB."""

Merged = tuple[tuple[Any, ...], ...]
"""Files, in the order in which they are merged, and the places where they go."""


def _blank() -> ConfigLoaderImpl:
    """A loader without a search path: making one with it takes Hydra's sources, which a job has later on."""
    return ConfigLoaderImpl.__new__(ConfigLoaderImpl)


class PointLoader(ConfigLoaderImpl):
    """A loader that reads no file twice: those that change meanwhile stay as they were."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        self.config_search_path = loader.config_search_path
        self.repository = loader.repository
        self._files: dict[tuple[str | None, ...], _Files] = {}
        self._read: dict[str, Override] = {}
        self._unset: dict[tuple[str, ...], bytes | None] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """What a launcher sends to the process of a job: Hydra's own loader, which composes one point."""
        own = {"config_search_path": self.config_search_path, "repository": self.repository}
        return _blank, (), own

    def load_declared(self, master: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """What was declared of a point: the config that `load_sweep_config` composes, less Hydra's own part.

        Hydra sets settings last, in what the chosen options were merged to. So the first point of each choice
        of options is composed as a whole, and further ones start from a copy of what is composed without
        their settings.
        """
        name = master.hydra.job.config_name
        given = [*cast(list[str], OmegaConf.to_container(master.hydra.overrides.hydra)), *overrides]
        parsed, files = self._parse_overrides_and_create_caching_repo(name, given)
        self.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)
        settings = [one for one in parsed if _is_setting(one, files)]
        options = tuple(str(one.input_line) for one in parsed if one not in settings)
        if options not in self._unset or any(one.key_or_group == HYDRAS_OWN for one in settings):
            self._unset[options] = None
            return _declared(self.load_sweep_config(master, list(overrides)))
        unset = self._unset.pop(options)
        if unset is None:
            unset = pickle.dumps(_declared(self.load_configuration(name, list(options), RunMode.RUN)))
        self._unset[options] = unset  # the last to go
        if len(self._unset) > MOST_KEPT:
            del self._unset[next(iter(self._unset))]
        composed: DictConfig = pickle.loads(unset)
        self._apply_overrides_to_config(settings, composed)
        OmegaConf.copy_cache(from_config=master, to_config=composed)
        return composed

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        with _maps_where_they_are_read():
            return super().load_configuration(
                config_name, overrides, run_mode, from_shell, validate_sweep_overrides
            )

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        searched = (config_name, *(one for one in overrides if one.startswith(SEARCHED)))
        if searched not in self._files:
            _, read = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
            self._files[searched] = _Files(read)
        new = [one for one in overrides if one not in self._read]
        self._read.update(zip(new, OverridesParser.create().parse_overrides(new), strict=True))
        return [self._read[one] for one in overrides], self._files[searched]

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        assert isinstance(repo, _Files)
        merged = tuple(
            (one.config_path, one.parent, one.package, one.is_self, one.primary) for one in defaults
        )
        begun, composed = repo.longest(merged)
        shared = repo.shared_with_last(merged)
        for place in range(begun, len(defaults)):
            if place == shared:
                repo.keep(merged[:place], composed)
            one = defaults[place]
            with flag_override(composed, "no_deepcopy_set_nodes", True):
                try:
                    composed.merge_with(self._load_single_config(one, repo.copies).config)
                except OmegaConfBaseException as error:
                    problem = f"In '{one.config_path}': {type(error).__name__} raised while composing config"
                    raise ConfigCompositionException(f"{problem}:\n{error}") from error
        if begun < len(defaults):
            repo.keep(merged, composed)
        _strip_defaults(composed)
        return composed


def _declared(composed: DictConfig) -> DictConfig:
    """What was declared: the config that Hydra composed, from which its own part is taken."""
    with open_dict(composed):
        del composed[HYDRAS_OWN]
    return composed


def _is_setting(override: Override, files: IConfigRepository) -> bool:
    """Whether it sets, adds or removes what was declared, and neither chooses an option nor is Hydra's."""
    chooses = files.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
    return not chooses and not override.is_hydra_override()


def point_loader() -> PointLoader:
    """The loader that Hydra has in this process: from here on it is this one, for its sweeper and launchers
    too."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    assert isinstance(hydra.config_loader, ConfigLoaderImpl)
    if not isinstance(hydra.config_loader, PointLoader):
        hydra.config_loader = PointLoader(hydra.config_loader)
    return hydra.config_loader


class _Files(CachingConfigRepository):
    """The files of a search path as they were first read, and what they were merged to."""

    def __init__(self, read: CachingConfigRepository) -> None:
        self.delegate = read.delegate
        self.cache = read.cache
        self.copies = _Copies(self)
        self._kept: dict[Merged, bytes] = {}
        self._last: Merged = ()

    def longest(self, merged: Merged) -> tuple[int, DictConfig]:
        """The number of the first files that were merged before, and a copy of what they gave."""
        for length in range(len(merged), 0, -1):
            if (kept := self._kept.pop(merged[:length], None)) is not None:
                self._kept[merged[:length]] = kept  # the last to go
                return length, pickle.loads(kept)
        return 0, OmegaConf.create()

    def shared_with_last(self, merged: Merged) -> int:
        """The number of the first files that the last config had too; the next one is likely to have them."""
        pairs = zip(self._last, merged, strict=False)
        differing = (place for place, (one, other) in enumerate(pairs) if one != other)
        shared = next(differing, min(len(self._last), len(merged)))
        self._last = merged
        return shared

    def keep(self, merged: Merged, composed: DictConfig) -> None:
        self._kept[merged] = pickle.dumps(composed)
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]


class _Copies(CachingConfigRepository):
    """Copies of the files, to be merged: OmegaConf moves the nodes of what it merges."""

    def __init__(self, files: _Files) -> None:
        self.delegate = files.delegate
        self.cache = files.cache

    def load_config(self, config_path: str) -> ConfigResult | None:
        found: ConfigResult | None = pickle.loads(pickle.dumps(super().load_config(config_path)))
        return found


def _strip_defaults(node: Any) -> None:
    """Remove the lists of defaults that are left, from the node and those in it."""
    if not isinstance(node, DictConfig) or node._is_missing() or node._is_none():
        return
    with flag_override(node, ["readonly", "struct"], False):
        if node._get_flag(DEFAULTS_LEFT):
            node._set_flag(DEFAULTS_LEFT, None)
            node.pop("defaults", None)
        for _, value in node.items_ex(resolve=False):
            _strip_defaults(value)


@contextmanager
def _maps_where_they_are_read() -> Iterator[None]:
    """Have Hydra make a map of all choices for no list of defaults that has no interpolation, as nothing else
    reads it: half of a config's time would go into these maps."""
    made = defaults_list._create_interpolation_map
    none = OmegaConf.create()

    def where_read(overrides: Overrides, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
        read = any(entry.is_interpolation() for entry in defaults_list)
        return made(overrides, defaults_list, self_added) if read else none

    vars(defaults_list)["_create_interpolation_map"] = where_read
    try:
        yield
    finally:
        vars(defaults_list)["_create_interpolation_map"] = made
