"""Folders with options of a user's own, beside those of the package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dlas.config.places import config_folder
from dlas.errors import UserError, require

FILE, ELSEWHERE = "file://", "://"


def folder(key: str, given: str) -> str:
    """The folder's absolute path, `~` and all; UserError where it is not there."""
    found = Path(given.removeprefix(FILE)).expanduser().absolute()
    there = bool(given) and found.is_dir()
    require(there, key, f"there is no folder '{given}'", "one that has target/<name>.yaml or its like")
    return str(found)


def is_folder(given: str) -> bool:
    """Whether a place of Hydra's search path is a folder, and not in a package."""
    return given.startswith(FILE) or ELSEWHERE not in given


def require_own_names(folders: Iterable[str]) -> None:
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
                key="--config-dir",
                remedy="another name: that of the file, and `name:` in it",
            )
