"""What a choice does to the latency, as a factor: all else equal, over all points where that can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from dlas.analysis.grid import Grid
from dlas.analysis.interactions.matching import matched
from dlas.analysis.statistics import contrast
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.statistics.linear_model import Fit, design, main_effects
from dlas.analysis.statistics.noise import Noise


class Basis(Enum):
    """Where an effect comes from."""

    PAIRS = "points that differ in nothing else"
    MODEL = "a model without interactions, as no two points differ in this alone"
    NONE = "can't be told from these points"


@dataclass(frozen=True)
class Effect:
    """Latency with a choice over the latency with the reference of its factor."""

    factor: str
    level: str
    reference: str
    basis: Basis
    estimate: Estimate | None
    """Geometric mean of the ratios; None where the basis is NONE."""
    pairs: int = 0
    """Number of pairs of points that differ in this choice alone."""
    lowest: float | None = None
    highest: float | None = None
    """The smallest and the largest of the pairs' ratios."""
    steady: bool = True
    """Whether the boards of these points held still. Unsteady ones count only where there are no others."""


def effects(grid: Grid, noise: Noise | None) -> list[Effect]:
    """The effect of every choice against the reference of its factor.

    Where every combination was measured this is the main effect of the analysis of variance with each level
    of the other factors counting alike. Where some are missing, pairs of points that differ in one choice
    alone are still compared fairly, whatever the interactions. Without such a pair a linear model of main
    effects answers where it can: where the effect lies in the row space of its design.
    """
    return [effect for at in range(len(grid.factors)) for effect in _of_factor(grid, noise, at)]


def _of_factor(grid: Grid, noise: Noise | None, at: int) -> Iterator[Effect]:
    factor = grid.factors[at]
    cells = matched(grid, noise, [at])
    reference = factor.levels.index(factor.reference)
    for number, level in enumerate(factor.levels):
        if number == reference:
            continue
        both = cells.contexts((number,), (reference,))
        if not both.any():
            by_model = _by_model(grid, noise, at, number, reference)
            basis = Basis.NONE if by_model is None else Basis.MODEL
            still = bool(grid.steady.all())
            yield Effect(factor.name, level, factor.reference, basis, by_model, steady=still)
            continue
        above, below = cells.table[both, number], cells.table[both, reference]
        ratios = grid.means[above] - grid.means[below]
        yield Effect(
            factor.name,
            level,
            factor.reference,
            Basis.PAIRS,
            cells.difference(above, below),
            len(ratios),
            math.exp(ratios.min()),
            math.exp(ratios.max()),
            bool(grid.steady[[*above, *below]].all()),
        )


def _by_model(grid: Grid, noise: Noise | None, at: int, level: int, reference: int) -> Estimate | None:
    terms = main_effects(len(grid.factors))
    sessions = np.array([len(cell.logs) for cell in grid.cells], dtype=float)
    fit = Fit(design(terms, grid.numbers, grid.counts), grid.means, sessions)
    two = np.zeros((2, len(grid.factors)), dtype=np.intp)
    two[:, at] = level, reference
    above, below = design(terms, two, grid.counts)
    if not fit.estimable((above - below)[None])[0]:
        return None
    return contrast.estimate(
        fit.point_weights(above - below), grid.means, noise, np.arange(len(grid.cells), dtype=np.intp)
    )
