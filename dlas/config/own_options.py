"""Folders with options of a user's own, beside those of the package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from dlas.config.places import config_folder
from dlas.errors import UserError, require
from dlas.files.there import is_folder

CONFIG_DIR, SHORT = "--config-dir", "-cd"
"""Hydra's flags for a folder of a user's own options."""

SEARCH_PATH = "hydra.searchpath"
FILE, ELSEWHERE = "file://", "://"


def taken(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The folders that arguments name, and all other arguments.

    UserError for a folder that is not there, or has options by names of the package's own.
    """
    folders: list[str] = []
    others: list[str] = []
    left = iter(arguments)
    for argument in left:
        key, _, value = argument.partition("=")
        if key in (CONFIG_DIR, SHORT):
            folders.append(_folder(key, value or next(left, "")))
        elif key == SEARCH_PATH:
            given = OmegaConf.select(OmegaConf.from_dotlist([argument]), SEARCH_PATH)
            places = map(str, given if OmegaConf.is_list(given) else [given])
            folders += [_folder(key, place) if _is_folder(place) else place for place in places]
        else:
            others.append(argument)
    _require_own_names(filter(_is_folder, folders))
    return tuple(folders), others


def _folder(key: str, given: str) -> str:
    found = Path(given.removeprefix(FILE)).expanduser().absolute()
    there = bool(given) and is_folder(found)
    problem = f"there is no folder '{given}' that can be opened"
    require(there, key, problem, "one that has target/<name>.yaml or its like")
    return str(found)


def _is_folder(place: str) -> bool:
    """Whether a place of Hydra's search path is a folder, and not in a package."""
    return place.startswith(FILE) or ELSEWHERE not in place


def _require_own_names(folders: Iterable[str]) -> None:
    """UserError where an option has a name that the package has: Hydra takes the package's, without a word.
    A copy that is the same to the byte does no harm."""
    known = config_folder()
    for own in map(Path, folders):
        files = [path.relative_to(own) for path in sorted(own.rglob("*.yaml"))]
        hidden = [
            str(file)
            for file in files
            if (known / file).is_file() and (own / file).read_bytes() != (known / file).read_bytes()
        ]
        if hidden:
            raise UserError(
                f"{', '.join(hidden)} in {own} would be hidden by dlas's own of the same name",
                key=CONFIG_DIR,
                remedy="another name: that of the file, and `name:` in it",
            )
