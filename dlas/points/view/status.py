"""Lines that tell how far the points of a command are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dlas.points import durations
from dlas.points.progress import Progress
from dlas.points.steps import TIMING


@dataclass
class Course:
    """The points that a command makes one after the other, or the one that it makes."""

    total: int
    """Number of points that are to be made."""
    now: Callable[[], float] = time.monotonic
    """Function that gives the time, in seconds."""
    took: list[float] = field(default_factory=list)
    """Seconds that each point took which is done, whatever became of it."""
    began: float = 0.0
    since: float = 0.0
    """When the first point, and the one that is being made, was begun."""

    def begin_point(self) -> None:
        """Note that a point is begun."""
        self.since = self.now()
        if not self.took:
            self.began = self.since

    @property
    def so_far(self) -> float:
        """Seconds since the point was begun."""
        return self.now() - self.since

    def end_point(self) -> None:
        """Note that the point is done."""
        self.took.append(self.so_far)

    def lines(
        self, position: str, name: str, progress: Progress, expected: Mapping[str, float]
    ) -> Sequence[str]:
        """How far all points are, where there are several, and how far the one is that is being made, at its
        position. Of its steps `expected` gives the seconds that they may take."""
        one = f"{position}{_step(progress, expected, self.now())}: {name}"
        return [self._all(), one] if self.total > 1 else [one]

    def _all(self) -> str:
        left = self.total - len(self.took) - 1
        counts = f"points: {len(self.took)} done, 1 running, {left} left"
        return f"{counts}; {durations.told(self.now() - self.began)} so far, {self._rest(left)}"

    def _rest(self, left: int) -> str:
        """How long it may go on: points that are alike took as long as those that are done, on average."""
        if not self.took:
            return "the rest is not known before one is done"
        mean = statistics.mean(self.took)
        if left == 0 and self.so_far > mean:
            return "longer than the points before took"
        rest = max(mean - self.so_far, 0) + left * mean
        return f"about {durations.told(rest)} to go"


def _step(progress: Progress, expected: Mapping[str, float], now: float) -> str:
    started = progress.started
    if started is None:
        return "starting" if not progress.used else f"after {progress.used[-1].partition('/')[0]}"
    seconds = expected.get(progress.step)
    about = "" if seconds is None else f" of about {durations.told(seconds)}"
    seldom = ", shown seldom so as not to disturb it" if progress.step == TIMING else ""
    return f"{started.stage} for {durations.told(now - progress.since)}{about}{seldom}"
