"""Ranking flips: two choices of a layer whose order changes when another layer's choice changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np

from dlas.analysis.grid import Grid
from dlas.analysis.interactions.matching import Matched, matched
from dlas.analysis.statistics import holm
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.statistics.noise import Noise
from dlas.hardware.results.statistics import CONFIDENCE


@dataclass(frozen=True)
class Flip:
    """Two choices of a factor, of which one is the faster here and the other there."""

    factor: str
    faster_here: str
    faster_there: str
    other: str
    here: str
    there: str
    """Choices of the factor `other`."""
    gain_here: Estimate
    """Latency of `faster_here` over that of `faster_there`, where the choice is `here`: below 1."""
    gain_there: Estimate
    """The same ratio where the choice is `there`: above 1."""
    contexts: int
    runs: tuple[str, ...]
    """The runs behind it."""
    unsteady: int
    """Number of these whose board did not hold still."""
    p_value: float | None = None
    """P-value of there being no flip, after Holm over all that were looked at; None without noise."""

    @property
    def holds(self) -> bool:
        """Whether the intervals allow the claim."""
        return self.p_value is not None and self.p_value <= 1 - CONFIDENCE

    @property
    def size(self) -> float:
        """The smaller of the two differences, as a log ratio: what is lost by taking the order as fixed."""
        return min(-self.gain_here.log, self.gain_there.log)


@dataclass(frozen=True)
class Flips:
    """All orders that change, the surest and largest first, and how many were looked at."""

    flips: tuple[Flip, ...]
    looked_at: int


def flips(grid: Grid, noise: Noise | None) -> Flips:
    """Every change of order between two choices of a factor over two choices of another, averaged over the
    contexts where all four were measured.

    The test is that of Gail and Simon (1985), Testing for qualitative interactions between treatment effects
    and patient subsets, for two subsets: both differences have to be there, each in its direction, so the
    larger of the two one-sided p-values counts. Holm's correction is over all that were looked at, changed
    order or not.
    """
    seen = [
        one
        for at, other in permutations(range(len(grid.factors)), 2)
        for one in _of_pair(grid, matched(grid, noise, [at, other]), at, other)
    ]
    changed = [one for one in seen if one is not None]
    if noise is not None:
        corrected = holm.adjusted([1.0 if one is None else _p_value(one) for one in seen])
        kept = [p for one, p in zip(seen, corrected, strict=True) if one is not None]
        changed = [replace(one, p_value=p) for one, p in zip(changed, kept, strict=True)]
    return Flips(tuple(sorted(changed, key=lambda one: (not one.holds, -one.size))), len(seen))


def _p_value(flip: Flip) -> float:
    sides = (flip.gain_here.below_one, flip.gain_there.above_one)
    return max(1.0 if side is None else side for side in sides)


def _of_pair(grid: Grid, cells: Matched, at: int, other: int) -> Iterator[Flip | None]:
    """All pairs of choices of a factor over all pairs of another's; None where the order stays."""
    table, present = cells.table, cells.present
    factor, beside = grid.factors[at], grid.factors[other]
    for a, b in combinations(range(len(factor.levels)), 2):
        both = present[:, a] & present[:, b]
        differences = np.where(both, grid.means[table[:, a]] - grid.means[table[:, b]], 0.0)
        for c, d in combinations(range(len(beside.levels)), 2):
            contexts = np.flatnonzero(both[:, c] & both[:, d])
            if not len(contexts):
                continue
            signs = differences[contexts, c].mean(), differences[contexts, d].mean()
            if signs[0] * signs[1] >= 0:
                yield None
                continue
            here, there = (c, d) if signs[0] < 0 else (d, c)
            used = table[contexts][:, [a, b]][:, :, [c, d]].ravel()
            points = [point for cell in used for point in grid.cells[cell].points]
            yield Flip(
                factor.name,
                factor.levels[a],
                factor.levels[b],
                beside.name,
                beside.levels[here],
                beside.levels[there],
                cells.difference(table[contexts, a, here], table[contexts, b, here]),
                cells.difference(table[contexts, a, there], table[contexts, b, there]),
                len(contexts),
                tuple(point.run_id for point in points),
                sum(bool(point.unsteady) for point in points),
            )
