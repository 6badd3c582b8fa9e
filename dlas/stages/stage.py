"""The contract of a stage and of its result, which every file beside this one keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints

COUNTED = "counted"
"""Key in the metadata of a field: the function that makes of its value what stands in the stage's key."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The result of a stage, as the store keeps it. It stands in the keys of later stages by its own key."""

    folder: Path

    @property
    def key(self) -> str:
        """The hash of the inputs that the result was made from."""
        return self.folder.name

    @property
    def stage(self) -> str:
        """The name of the stage that it is a result of."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """Name of the result in a store: `<stage>/<key>`."""
        return f"{self.stage}/{self.key}"


Result = TypeVar("Result", bound=Kept)


class Stage(ABC, Generic[Result]):
    """One step of the way to a point, made by a frozen dataclass whose fields are its inputs.

    A field holds a plain value, a dataclass of such (the settings of a layer), a `Keyed` thing or the `Kept`
    result of an earlier stage. `make` and `read` may use the fields and nothing else: no environment, no
    other files, no state of the process. What they import counts by itself; what they import by a name from a
    field is told by `named_modules`.
    """

    @property
    @abstractmethod
    def stage(self) -> str:
        """The name under which its results are kept and told of."""

    @abstractmethod
    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        """Fill `folder`. It may hold what an interrupted attempt of the same stage left there, to go on from
        or to write over.

        Work that may take more than a minute saves where it stands in `checkpoints`, and goes on from what an
        interrupted attempt saved there: to the same result. They are no part of it.
        """

    @abstractmethod
    def read(self, folder: Path) -> Result:
        """The result from what `make` left in `folder`."""

    def named_modules(self) -> Sequence[str]:
        """The dotted names of the modules that do the work and are imported by names from the fields."""
        return ()

    def other_files(self) -> Sequence[Path]:
        """Files that do the work and are no modules of this process, such as those of another environment."""
        return ()


def counted_by(part: Callable[[Any], object]) -> Mapping[str, Any]:
    """The metadata of a field of which only what `part` makes of the value decides the result.

    Whoever uses it says beside it why the rest does not.
    """
    return MappingProxyType({COUNTED: part})


def nothing(value: object) -> None:
    """None: the part of a value that is counted where it decides only how long a result takes, or where it
    comes from."""
