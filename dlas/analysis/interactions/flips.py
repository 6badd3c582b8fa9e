"""Ranking flips: two choices of a layer whose order changes when another layer's choice changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

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
    """Number of these whose board did not hold still: none where there are contexts without."""
    p_value: float | None = None
    """P-value of there being no flip, after Holm over all that were looked at; None without noise."""

    @property
    def holds(self) -> bool:
        """Whether the intervals allow the claim."""
        return not self.unsteady and self.p_value is not None and self.p_value <= 1 - CONFIDENCE

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
    changed: list[Flip] = []
    looked_at = 0
    for at, other in permutations(range(len(grid.factors)), 2):
        cells = matched(grid, noise, [at, other])
        for pair in combinations(range(len(grid.factors[at].levels)), 2):
            seen = _orders(cells, pair)
            looked_at += seen.looked_at
            changed += [_flip(cells, at, other, pair, beside) for beside in seen.changed]
    if noise is not None:
        unchanged = [1.0] * (looked_at - len(changed))
        corrected = holm.adjusted([*(_p_value(one) for one in changed), *unchanged])
        changed = [replace(one, p_value=p) for one, p in zip(changed, corrected, strict=False)]
    return Flips(tuple(sorted(changed, key=lambda one: (not one.holds, -one.size))), looked_at)


def _p_value(flip: Flip) -> float:
    sides = (flip.gain_here.below_one, flip.gain_there.above_one)
    return max(1.0 if side is None else side for side in sides)


@dataclass(frozen=True)
class _Orders:
    """The order of two choices over all pairs of another factor's choices."""

    looked_at: int
    changed: list[tuple[int, int]]
    """Pairs of levels between which the order changes; at the first one the first choice is the faster."""


def _orders(cells: Matched, pair: tuple[int, int]) -> _Orders:
    steady, changes_steady = _counted(cells, pair, cells.steady)
    measured, changes_measured = _counted(cells, pair, cells.present)
    changes = np.argwhere(changes_steady | (~steady & changes_measured))
    return _Orders(int(np.count_nonzero(np.triu(measured, 1))), [(int(c), int(d)) for c, d in changes])


def _counted(
    cells: Matched, pair: tuple[int, int], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each two levels of the other factor, whether a usable context has both, and whether the first choice
    is the faster at the one and the slower at the other."""
    first, second = (cells.table[:, level] for level in pair)
    both = (usable[:, pair[0]] & usable[:, pair[1]]).astype(float)
    differences = both * (cells.grid.means[first] - cells.grid.means[second])
    sums = differences.T @ both  # of the differences at one level, over the contexts that have another too
    return both.T @ both > 0, (sums < 0) & (sums.T > 0)


def _flip(cells: Matched, at: int, other: int, pair: tuple[int, int], beside: tuple[int, int]) -> Flip:
    (a, b), (here, there) = pair, beside
    table, grid = cells.table, cells.grid
    factor, around = grid.factors[at], grid.factors[other]
    contexts = cells.contexts((a, here), (b, here), (a, there), (b, there))
    used = table[contexts][:, [a, b]][:, :, [here, there]]
    points = [point for cell in used.ravel() for point in grid.cells[cell].points]
    return Flip(
        factor.name,
        factor.levels[a],
        factor.levels[b],
        around.name,
        around.levels[here],
        around.levels[there],
        cells.difference(used[:, 0, 0], used[:, 1, 0]),
        cells.difference(used[:, 0, 1], used[:, 1, 1]),
        len(used),
        tuple(point.run_id for point in points),
        0 if grid.steady[used].all() else sum(bool(point.unsteady) for point in points),
    )
