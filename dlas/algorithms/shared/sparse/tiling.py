"""Tilings of a sparse kernel's work: the cost rule of its untuned schedule, and those that a tuner may
try."""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.sparse.formats import summed_together, terms_of_step
from dlas.algorithms.shared.sparse.views import RUN_VECTORS, Views
from dlas.interfaces.targets.code_target import MIN_LANES

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

MAX_RUN = RUN_VECTORS
"""Vectors of the longest run. A longer one would spend fewer instructions on anything but multiply-adds, but
less of its input would fit the first-level cache."""

INDEPENDENT_SUMS = 8
"""Multiply-adds in flight that keep a core busy: a latency of four cycles on two units."""

BESIDE_SUMS = 2
"""Registers for a weight and a vector of the input."""

MAX_WRITTEN_OUT = 256
"""Multiply-adds in one turn of the loop over what is stored: with more, compiling takes seconds."""

WRITTEN_OUT, UNROLL = range(4, 9), 4
"""Multiply-adds of a step, of which so many are written out in a turn of the loop: with fewer, the steps that
are left over at its end cost more than that gains; with more, the loop costs next to nothing."""

RUNS, PARTS, UNROLLS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4, 8), (1, 2, 4)
"""Vectors, parts and unrolled steps that are tried."""

SHARES = (1, 2, 4)
"""Multiples of the shares that keep every core busy, that are tried."""

LAST_TO_FIRST = ("lanes", "vectors", "parts", "shares", "unroll")
"""Parameters, from what has been seen to gain the least to the most."""


@dataclass(frozen=True)
class SparseTiling:
    """Division of the pixels of a band of output rows into runs, and of the work into tasks."""

    pixels: int
    """Pixels of a band as the views have it, row after row."""
    lanes: int
    vectors: int
    """Vectors of one run."""
    parts: int
    """Sums of one output that are kept apart, for enough multiply-adds in flight."""
    unroll: int
    """Stored steps that each part adds in one turn of the loop over them."""
    shares: int
    """Tasks that share the output channels of a band."""

    @property
    def run(self) -> int:
        """Pixels that one weight is multiplied with at once."""
        return self.vectors * self.lanes

    @property
    def runs(self) -> int:
        """Runs in a band."""
        return math.ceil(self.pixels / self.run)

    @property
    def vector_starts(self) -> list[int]:
        """First pixel of each vector in a run: where a band is less than a run, the last ones overlap."""
        return [min(index * self.lanes, self.pixels - self.lanes) for index in range(self.vectors)]

    def run_start(self, run: Any) -> Any:
        """The run's first pixel: where runs do not divide a band, the last two overlap."""
        start = run * self.run
        return (
            start if self.runs == 1 or self.pixels % self.run == 0 else T.min(start, self.pixels - self.run)
        )


def tiling(views: Views, target: CodeTarget) -> SparseTiling:
    """The fewest vectors that cover a band, in the longest runs; as many tasks as keep every core busy."""
    rows, blocks = summed_together(views.workload)
    lanes = _widest(views, target)
    whole = math.ceil(views.pixels / lanes)
    most = min(whole, MAX_RUN, _most_vectors(rows, target))
    vectors = min(
        range(math.ceil(most / 2), most + 1), key=lambda count: (math.ceil(whole / count) * count, -count)
    )
    sums = rows * vectors
    return SparseTiling(
        pixels=views.pixels,
        lanes=lanes,
        vectors=vectors,
        parts=max(1, INDEPENDENT_SUMS // sums),
        unroll=UNROLL if sums * terms_of_step(views.workload, sums) in WRITTEN_OUT else 1,
        shares=_shares(views, target, blocks),
    )


def _most_vectors(rows: int, target: CodeTarget) -> int:
    """Largest number of vectors of a run whose sums fit the registers, beside a weight and, where several
    rows read it, the run."""
    return max(1, target.vector_registers - 2 if rows == 1 else (target.vector_registers - 1) // (rows + 1))


def tilings(views: Views, target: CodeTarget) -> tuple[SparseTiling, ...]:
    """Tilings that a tuner may try: the cost rule's choice, then every other whose sums fit the registers.
    Those that differ in what has been seen to gain the most come first."""
    rows, blocks = summed_together(views.workload)
    chosen = tiling(views, target)
    found = {chosen}
    for lanes, parts, unroll in itertools.product(_widths(views, target), PARTS, UNROLLS):
        whole = math.ceil(views.pixels / lanes)
        for vectors in {min(whole, count) for count in (*RUNS, chosen.vectors)}:
            sums = rows * vectors * parts
            written_out = sums * unroll * terms_of_step(views.workload, sums)
            if sums + BESIDE_SUMS > target.vector_registers or written_out > MAX_WRITTEN_OUT:
                continue
            for shares in {min(blocks, chosen.shares * times) for times in SHARES}:
                found.add(SparseTiling(views.pixels, lanes, vectors, parts, unroll, shares))
    return tuple(sorted(found, key=lambda tiles: (_changes(chosen, tiles), astuple(tiles))))


def _changes(chosen: SparseTiling, other: SparseTiling) -> tuple[bool, ...]:
    """Parameters that differ, as a sort key: from those that are the last to try to the first."""
    return tuple(getattr(chosen, name) != getattr(other, name) for name in LAST_TO_FIRST)


def _widest(views: Views, target: CodeTarget) -> int:
    return min(target.lanes, 1 << (views.pixels.bit_length() - 1))


def _widths(views: Views, target: CodeTarget) -> list[int]:
    widest = _widest(views, target)
    return [widest, widest // 2] if widest > MIN_LANES else [widest]


def _shares(views: Views, target: CodeTarget, blocks: int) -> int:
    """Number of tasks that share a band and leave the least to do for the busiest core; each copies its band
    anew."""
    workload = views.workload

    def most_work(shares: int) -> float:
        part = math.ceil(blocks / shares) / blocks
        tasks = math.ceil(workload.batch * views.bands * shares / target.cores)
        return tasks * (views.copies_cost + views.sums_cost * workload.out_channels * part)

    return min(range(1, min(blocks, target.cores) + 1), key=most_work)
