"""Layer 6: how a library is timed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dlas.errors import require


@dataclass(frozen=True)
class Timing:
    """How a library is timed: in each session `runs` samples are kept, after `warmup` runs that are not."""

    name: str
    runs: int = 150
    warmup: int = 1
    sessions: int = 1
    """Fresh processes, one after another: one library differs between them by more than within one. With a
    `budget` the least number of them."""
    cold: int = 0
    """Further runs of each session, each after the caches were filled with something else."""
    yardstick: bool = False
    """Whether small networks that are always the same, which tell the board's pace, are timed beside each
    session."""
    roofs: bool = False
    """Whether the machine's peak of arithmetic and its bandwidth of memory are measured, once for all points;
    not on emulated boards and GPUs."""
    budget: float = 0.0
    """Seconds within which further sessions may follow, until the question is answered: of a new point,
    whether a redeployment by as many could tell that it is the same; of a redeployment, whether it is. With 0
    there are no further ones."""
    same_within_percent: float = 5.0
    """Largest difference of two deployments that count as the same."""
    batch_sizes: list[int] = field(default_factory=lambda: [1])
    """Images of a run: 1, then further sizes, which the network is built and timed for too."""

    def __post_init__(self) -> None:
        sizes = self.batch_sizes
        right = sizes[:1] == [1] and min(sizes) >= 1 and len(set(sizes)) == len(sizes)
        require(right, "timing.batch_sizes", f"{sizes} will not do", "1 first, then others, such as [1,4]")
        require(self.runs >= 1, "timing.runs", f"{self.runs} is too small", "1 or more")
        require(self.warmup >= 0, "timing.warmup", f"{self.warmup} is negative", "0 or more")
        require(self.sessions >= 1, "timing.sessions", f"{self.sessions} is too small", "1 or more")
        require(0 <= self.budget < math.inf, "timing.budget", f"{self.budget} will not do", "seconds, or 0")
        within = self.same_within_percent
        key, remedy = "timing.same_within_percent", "more than 0 and less than 100, such as 5"
        require(0 < within < 100, key, f"{within} will not do", remedy)
        require(self.cold >= 0, "timing.cold", f"{self.cold} is negative", "0 or more")
