"""Cells that differ in the choices of one factor or of two, and in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.grid import Grid
from dlas.analysis.statistics import contrast
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.statistics.noise import Noise

ABSENT = -1


@dataclass(frozen=True)
class Matched:
    """Positions of the cells by context and by the levels of some factors: an array of as many dimensions and
    one more, `ABSENT` where nothing was measured. A context is a choice of everything else."""

    grid: Grid
    noise: Noise | None
    table: NDArray[np.intp]

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = self.table != ABSENT
        return there

    @cached_property
    def steady(self) -> NDArray[np.bool_]:
        """Whether something was measured, on a board that held still."""
        still: NDArray[np.bool_] = self.present & self.grid.steady[self.table]
        return still

    def contexts(self, *levels: tuple[int, ...]) -> NDArray[np.bool_]:
        """The contexts where all of these combinations of levels were measured: those with steady boards, or
        where there is none all of them."""
        places: list[Any] = [(slice(None), *each) for each in levels]
        steady: NDArray[np.bool_] = np.all([self.steady[place] for place in places], axis=0)
        if steady.any():
            return steady
        measured: NDArray[np.bool_] = np.all([self.present[place] for place in places], axis=0)
        return measured

    def difference(self, above: NDArray[np.intp], below: NDArray[np.intp]) -> Estimate:
        """Mean log ratio of the cells `above` to the cells `below` them."""
        return self.mean([(1, above), (-1, below)])

    def mean(self, signed: Sequence[tuple[int, NDArray[np.intp]]]) -> Estimate:
        """The sum of the means of several groups of cells of one size, each with its sign."""
        cells = np.concatenate([group for _, group in signed])
        weights = np.concatenate([np.full(len(group), sign / len(group)) for sign, group in signed])
        return contrast.estimate(weights, self.grid.means[cells], self.noise, cells)


def matched(grid: Grid, noise: Noise | None, factors: Sequence[int]) -> Matched:
    """The cells of the grid by the levels of these factors."""
    numbers = grid.numbers
    rest = np.delete(numbers, factors, axis=1)
    contexts, context = np.unique(rest, axis=0, return_inverse=True)
    shape = (max(len(contexts), 1), *(grid.counts[factor] for factor in factors))
    table = np.full(shape, ABSENT, dtype=np.intp)
    table[(context.reshape(-1), *(numbers[:, factor] for factor in factors))] = np.arange(len(numbers))
    return Matched(grid, noise, table)
