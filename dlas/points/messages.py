"""What the process of a point, or that of the check before all points, tells the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlas.errors import UserError
from dlas.interfaces.compiler import NetworkNotTaken


@dataclass(frozen=True)
class Started:
    """A stage whose work began, or the timing, or the writing of the bundle."""

    stage: str
    goes_on: bool = False
    """Whether it goes on from what an interrupted attempt left."""


@dataclass(frozen=True)
class Used:
    """A result of a stage that was obtained, by its name `<stage>/<key>`."""

    result: str


@dataclass(frozen=True)
class Tried:
    """The network of a point, which is about to be tried."""


@dataclass(frozen=True)
class Fallback:
    """Layers that a declared kernel can't serve."""

    declared: str
    served_by: str
    reason: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Foreseen:
    """What is known of a point that is not made yet."""

    point: int
    """Its place among all."""
    done: tuple[str, ...]
    """Names `<stage>/<key>` of the results that are there, up to the first that is not."""
    first: str | None
    """Name of the first result that is not there: what comes after it can't be known before it is made. None
    where all are there."""
    begun: bool
    """Whether an interrupted attempt at that left something to go on from."""
    fallbacks: tuple[Fallback, ...]


@dataclass(frozen=True)
class NotTaken:
    """Points whose compiler can't take their network, which tells nothing of the others: the parts of a
    NetworkNotTaken."""

    points: tuple[int, ...]
    """Their places among all."""
    problem: str
    key: str
    remedy: str

    @property
    def error(self) -> NetworkNotTaken:
        """The error, which tells the place of the first of the points."""
        error = NetworkNotTaken(self.problem, key=self.key, remedy=self.remedy)
        error.point = self.points[0]
        return error


@dataclass(frozen=True)
class BoardRuntime:
    """The versions of what runs the networks of a compiler on a board elsewhere."""

    versions: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """The parts of a UserError that ended the work."""

    problem: str
    key: str
    remedy: str
    point: int | None = None

    @property
    def error(self) -> UserError:
        error = UserError(self.problem, key=self.key, remedy=self.remedy)
        error.point = self.point
        return error


@dataclass(frozen=True)
class Finished:
    """The end of the work, with what a point found."""

    metrics: Mapping[str, float]
    tags: Mapping[str, str]
