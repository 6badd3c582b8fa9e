"""All layers of a point."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dlas.config.layers.algo import Algo
from dlas.config.layers.compiler import Compiler
from dlas.config.layers.compression import Compression
from dlas.config.layers.dataset import Dataset
from dlas.config.layers.format import Format
from dlas.config.layers.model import Model
from dlas.config.layers.target import Target
from dlas.config.layers.timing import Timing
from dlas.config.layers.tracking import Tracking
from dlas.config.layers.tuner import Tuner
from dlas.errors import require
from dlas.interfaces.training import Train

UNSTEADY = "unsteady"
RERUNS = ("none", "failed", UNSTEADY, "all")

OBJECTIVES = ("latency_ms", "top1_error", "size_bytes")
"""What a search may ask for less of: the median latency, wrong answers as a fraction of 1, the library."""

GROUPS = ("dataset", "model", "compression", "algo", "format", "compiler", "tuner", "target", "timing")

OF_KERNELS = ("algo", "format", "tuner")
"""Groups that say nothing to a compiler with kernels of its own."""


@dataclass(frozen=True)
class Stack:
    """One point: everything that was declared."""

    dataset: Dataset
    model: Model
    compression: dict[str, Compression]
    """Steps by name, each on what the one before it left; none for the network as it was trained."""
    algo: Algo
    format: Format
    compiler: Compiler
    tuner: Tuner
    target: Target
    timing: Timing
    train: Train = field(default_factory=Train)
    tracking: Tracking = field(default_factory=Tracking)
    seed: int = 0
    artifacts: str = "artifacts"
    timeout: float | None = None
    """Seconds that making the point may take."""
    rerun: str | None = None
    """Which points that have a run are made again: none, failed, unsteady or all; None for failed ones in a
    sweep, and for all where a single point is asked for. Unsteady ones were timed, or had kernels chosen by
    timing, while the board did not hold still; such choices are made again, too."""
    objectives: list[str] = field(default_factory=list)
    """What a sweeper that searches is told of each point, less being better."""

    def __post_init__(self) -> None:
        require(
            self.timeout is None or 0 < self.timeout < math.inf,
            "timeout",
            f"{self.timeout} is out of range",
            "seconds, more than 0; null for as long as it takes",
        )
        known = self.rerun is None or self.rerun in RERUNS
        require(known, "rerun", f"'{self.rerun}' is not known", f"one of: {', '.join(RERUNS)}")
        require(0 <= self.seed < 2**32, "seed", f"{self.seed} is out of range", "0 to 4294967295")
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        problem = f"'{', '.join(unknown)}' is not known"
        require(not unknown, "objectives", problem, f"of these: {', '.join(OBJECTIVES)}")
        remedy = "artifacts=<folder>; artifacts=. for the working directory; or leave it out"
        require(bool(self.artifacts.strip()), "artifacts", "has no value", remedy)

    @property
    def algorithms(self) -> list[str]:
        """Algorithms, one for every layer or those that a layer may choose from: the declared ones, then
        those of vendors; none beside a compiler with kernels of its own."""
        return [*self.algo.algorithms, *self.compiler.vendors]

    @property
    def builds_by_tvm(self) -> bool:
        """Whether TVM compiles something: the network's kernels, or what is timed beside them."""
        beside = self.timing.yardstick or self.measures_roofs
        return beside or not self.compiler.has_own_kernels

    @property
    def measures_roofs(self) -> bool:
        """Whether the peak and the bandwidth of the machine are measured: where that is asked for, on a real
        CPU."""
        return self.timing.roofs and not self.target.emulated and self.target.kind == "cpu"
