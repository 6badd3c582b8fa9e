"""Layer 6: how a library is timed."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlas.errors import require


@dataclass(frozen=True)
class Timing:
    """How a library is timed: in each session `runs` samples are kept, after `warmup` runs that are not."""

    name: str
    runs: int = 150
    warmup: int = 1
    sessions: int = 1
    """Fresh processes, one after another: one library differs between them by more than within one."""
    cold: int = 0
    """Further runs of each session, each after the caches were filled with something else."""
    yardstick: bool = False
    """Whether each session is preceded by one of a small network that is always the same, which tells the
    board's pace."""
    roofs: bool = False
    """Whether the machine's peak of arithmetic and its bandwidth of memory are measured, once for all points;
    not on emulated boards and GPUs."""
    batch_sizes: list[int] = field(default_factory=lambda: [1])
    """Images of a run: 1, then further sizes, which the network is built and timed for too."""

    def __post_init__(self) -> None:
        sizes = self.batch_sizes
        right = sizes[:1] == [1] and min(sizes) >= 1 and len(set(sizes)) == len(sizes)
        require(right, "timing.batch_sizes", f"{sizes} will not do", "1 first, then others, such as [1,4]")
        require(self.runs >= 1, "timing.runs", f"{self.runs} is too small", "1 or more")
        require(self.warmup >= 0, "timing.warmup", f"{self.warmup} is negative", "0 or more")
        require(self.sessions >= 1, "timing.sessions", f"{self.sessions} is too small", "1 or more")
        require(self.cold >= 0, "timing.cold", f"{self.cold} is negative", "0 or more")
