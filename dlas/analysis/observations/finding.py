"""What a check of an observation found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from dlas.analysis.measured_point import MeasuredPoint


class Verdict(Enum):
    """What the points say to a claim."""

    SUPPORTS = "supports"
    CONTRADICTS = "contradicts"
    NOT_ENOUGH = "not enough data"
    FAILED = "its code failed"


@dataclass(frozen=True)
class Part:
    """One claim of an observation, and what the points say to it."""

    claim: str
    verdict: Verdict
    numbers: str
    """A sentence with the numbers behind the verdict."""
    runs: tuple[str, ...] = ()
    """The runs behind it."""


@dataclass(frozen=True)
class Finding:
    """An observation, held against the points."""

    claim: str
    parts: tuple[Part, ...]
    emulated: bool
    """Whether the points are those of emulated boards."""

    @property
    def verdict(self) -> Verdict:
        """Contradicted by one part, supported by all, or not enough to say."""
        verdicts = {part.verdict for part in self.parts}
        for decisive in (Verdict.FAILED, Verdict.CONTRADICTS):
            if decisive in verdicts:
                return decisive
        return Verdict.SUPPORTS if verdicts == {Verdict.SUPPORTS} else Verdict.NOT_ENOUGH


Statistic: TypeAlias = Callable[[Sequence[MeasuredPoint]], Sequence[Part]]
"""The check of an observation: finished points that may be compared in, its parts out."""


@dataclass(frozen=True)
class Check:
    """An observation that points can support or contradict."""

    claim: str
    statistic: Statistic

    def __call__(self, points: Sequence[MeasuredPoint]) -> Sequence[Part]:
        return self.statistic(points)


def observation(claim: str) -> Callable[[Statistic], Check]:
    """Make a check of a function: `@observation("int8 pays on small networks")`."""
    return lambda statistic: Check(claim, statistic)
