"""How much of what varies between the points each layer and each pair of layers explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from dlas.analysis.grid import Grid
from dlas.analysis.statistics import holm
from dlas.analysis.statistics.linear_model import with_pairs
from dlas.analysis.statistics.noise import Noise
from dlas.analysis.statistics.sums_of_squares import Data, Squares, type_three, type_two


@dataclass(frozen=True)
class Share:
    """What a layer, or the interaction of two, explains of the variance of the log latency."""

    factors: tuple[str, ...]
    freedom: int
    """Degrees of freedom; fewer than the choices have where points are missing, 0 where nothing is seen."""
    squares: float
    """Sum of squares of type II, each session counting as a value."""
    share: float
    """`squares` over the total between the points."""
    share_three: float | None
    """The same of type III; None where missing points leave it without a meaning."""
    p_value: float | None
    """P-value of the F test against what sessions and pace leave open, after Holm over all shares; None where
    sessions tell nothing, without degrees of freedom, and where a board did not hold still."""


@dataclass(frozen=True)
class Shares:
    """The variance between the points, taken apart."""

    shares: tuple[Share, ...]
    total: float
    """Sum of squares between the points."""
    beyond: float
    """Part of the total that layers and pairs leave: three layers and more, and noise."""
    noise: float | None
    """Part of the total that the spread between sessions, and what is not known of the pace, make on average;
    None where it isn't known."""
    whole: bool
    """Whether every combination was measured: then the shares add up to 1 with what is beyond."""


def shares(grid: Grid, noise: Noise | None) -> Shares:
    """Shares of all factors and pairs of factors; the model has no terms of three."""
    sessions = np.array([len(cell.logs) for cell in grid.cells], dtype=float)
    data = Data(grid.numbers, grid.counts, grid.means, sessions)
    terms = with_pairs(len(grid.factors))
    total, full = data.fit([]).residual_squares, data.fit(terms)
    two, three = type_two(terms, data), type_three(terms, data)
    p_values = _p_values(two, noise if grid.steady.all() else None)
    freedom = len(grid.cells) - 1
    names = [factor.name for factor in grid.factors]
    found = [
        Share(
            tuple(names[at] for at in each.term),
            each.freedom,
            each.squares,
            each.squares / total if total else 0.0,
            None if three is None or not total else three[at].squares / total,
            p_values[at],
        )
        for at, each in enumerate(two)
    ]
    return Shares(
        tuple(found),
        total,
        full.residual_squares / total if total else 0.0,
        None if noise is None or not total else min(noise.between.variance * freedom / total, 1.0),
        len(grid.cells) == grid.size,
    )


def _p_values(squares: list[Squares], noise: Noise | None) -> list[float | None]:
    """P-values of the terms that have degrees of freedom, corrected for how many those are."""
    if noise is None:
        return [None] * len(squares)
    alike = noise.between
    raw = {
        at: float(fdtrc(one.freedom, alike.freedom, one.squares / one.freedom / alike.variance))
        for at, one in enumerate(squares)
        if one.freedom
    }
    corrected = dict(zip(raw, holm.adjusted(list(raw.values())), strict=True))
    return [corrected.get(at) for at in range(len(squares))]
