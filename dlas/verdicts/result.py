"""The result for each point that was to be redeployed, and what follows for all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dlas.command_line import DONE, FAILED
from dlas.hardware.results import limit as limits
from dlas.hardware.results.comparison import Outcome
from dlas.hardware.results.limit import Judgement
from dlas.hardware.results.statistics import Interval
from dlas.redeployment import Redeployed

SLOWER, UNCLEAR = 3, 4
"""Exit statuses: a point is slower; it can't be told of a point."""


@dataclass(frozen=True)
class Result:
    """The result for one point."""

    asked: str
    """The run's id, or the bundle's folder, as it was given."""
    found: Redeployed | None = None
    """None where it could not be redeployed."""
    problem: str = ""
    """What was wrong where it could not be redeployed."""
    name: str = ""
    """Name of the run; "" of a bundle on disk, and where there is no such run."""
    logged: str | None = None
    """Id of the run that keeps the result; None where none was made."""
    seconds: float = 0.0
    """Seconds that fetching, checking and timing took."""

    @property
    def outcome(self) -> Outcome | None:
        """Verdict on the point's times; None where it could not be redeployed."""
        return None if self.found is None else self.found.outcome

    @property
    def told(self) -> str:
        """The verdict in words, or what was wrong."""
        return f"failed: {self.problem.partition(chr(10))[0]}" if self.found is None else self.found.verdict

    def judged(self, limit: float) -> Judgement | None:
        """The worst judgement on all batch sizes; None where it could not be redeployed."""
        if self.found is None:
            return None
        found = {limits.judged(one, limit) for one in self.found.batches}
        return next(one for one in limits.WORST_FIRST if one in found)


@dataclass(frozen=True)
class LeftOut:
    """A point of a sweep that was not redeployed, since it is not finished."""

    run: str
    name: str
    status: str


@dataclass(frozen=True)
class Mean:
    """The geometric mean of the points' ratios, now over then, for one image."""

    ratio: float
    interval: Interval | None
    """By Student's t over the logarithms of the points' ratios; None for one point."""
    points: int


@dataclass(frozen=True)
class Results:
    """The results for all points of a command."""

    points: Sequence[Result]
    left_out: Sequence[LeftOut] = ()
    fail_above: float | None = None
    """The caller's limit on the ratio, from 1 on."""
    stopped: int | None = None
    """The exit status of a command that ended before it had come to all points; None of one that has."""

    @cached_property
    def mean(self) -> Mean | None:
        """The mean over the points that have a ratio; None where none has."""
        compared = [point.found.comparison for point in self.points if point.found is not None]
        ratios = [one.ratio for one in compared if one.comparable]
        return _mean(ratios) if ratios else None

    @property
    def counts(self) -> Counter[str]:
        """How many points have each judgement, or each verdict where there is no limit, or failed."""
        return Counter(self.word(point) for point in self.points)

    def word(self, point: Result) -> str:
        """The point's judgement or verdict in a word, or `failed`."""
        limit = self.fail_above
        found = point.outcome if limit is None else point.judged(limit)
        return "failed" if found is None else found.value

    @property
    def exit_status(self) -> int:
        """The exit status of the worst point, for a script that watches over speed."""
        if self.stopped is not None:
            return self.stopped
        words = self.counts
        worst = {
            "failed": FAILED,
            Outcome.SLOWER.value: SLOWER,
            Judgement.ABOVE.value: SLOWER,
            Outcome.UNCLEAR.value: UNCLEAR,
            Judgement.UNDECIDED.value: UNCLEAR,
        }
        return next((status for word, status in worst.items() if words[word]), DONE)


def _mean(ratios: Sequence[float]) -> Mean:
    from dlas.analysis.statistics import contrast

    found = contrast.of_sessions([[math.log(ratio) for ratio in ratios]])
    return Mean(found.ratio, found.interval, len(ratios))
