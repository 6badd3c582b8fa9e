"""How many output pixels a sparse kernel sums at once: the cost rule of its untuned schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.sparse.views import Views

if TYPE_CHECKING:
    from dlas.hardware.target import Target

BYTES_PER_VALUE = 4

LONGEST_RUN = 8
"""Vectors. A longer run spends fewer instructions on anything but multiply-adds, but less of its input fits
the first-level cache."""

INDEPENDENT_SUMS = 8
"""Multiply-adds in flight that keep a core busy: a latency of four cycles on two units."""


@dataclass(frozen=True)
class Tiling:
    """How the pixels of an output plane fall into runs, and the work into tasks."""

    pixels: int
    """Of the plane as the views have it, row after row."""
    lanes: int
    vectors: int
    """Of one run."""
    parts: int
    """Sums of one output that are kept apart, for enough multiply-adds in flight."""
    shares: int
    """Tasks that share the output channels of a group of runs."""
    group: int
    """Runs that a task sums side by side."""

    @property
    def run(self) -> int:
        """Pixels that one weight is multiplied with at once."""
        return self.vectors * self.lanes

    @property
    def runs(self) -> int:
        """In a plane."""
        return math.ceil(self.pixels / self.run)

    @property
    def groups(self) -> int:
        """In a plane."""
        return math.ceil(self.runs / self.group)

    @property
    def vector_starts(self) -> list[int]:
        """Of each vector in a run: where a plane is less than a run, the last ones overlap."""
        return [min(index * self.lanes, self.pixels - self.lanes) for index in range(self.vectors)]

    def run_start(self, run: Any) -> Any:
        """The run's first pixel: where runs do not divide a plane, the last two overlap."""
        start = run * self.run
        return (
            start if self.runs == 1 or self.pixels % self.run == 0 else T.min(start, self.pixels - self.run)
        )


def tiling(views: Views, target: Target, rows: int, blocks: int) -> Tiling:
    """The fewest vectors that cover the plane, in the longest runs; as many tasks as keep every core busy.

    `rows` output channels are summed at once, `blocks` times in all: their sums, one run and a weight fit the
    registers.
    """
    pixels = views.pixels
    lanes = min(target.vector_bytes // BYTES_PER_VALUE, 1 << (pixels.bit_length() - 1))
    whole = math.ceil(pixels / lanes)
    most = min(whole, LONGEST_RUN, max(1, (target.vector_registers - 1) // (rows + 1)))
    vectors = min(
        range(math.ceil(most / 2), most + 1), key=lambda count: (math.ceil(whole / count) * count, -count)
    )
    runs = math.ceil(whole / vectors)
    groups = math.ceil(runs / max(1, views.group_pixels // (vectors * lanes)))
    tasks = views.workload.batch * groups
    return Tiling(
        pixels=pixels,
        lanes=lanes,
        vectors=vectors,
        parts=max(1, INDEPENDENT_SUMS // (rows * vectors)),
        shares=min(blocks, target.cores // math.gcd(tasks, target.cores)),
        group=math.ceil(runs / groups),
    )
