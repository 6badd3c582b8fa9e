"""What part of the variance each factor and each pair of factors explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.statistics.linear_model import Fit, Term, columns, design
from dlas.analysis.statistics.noise import Vector


@dataclass(frozen=True)
class Squares:
    """The sum of squares that a term explains beyond others."""

    term: Term
    freedom: int
    """Degrees of freedom; fewer than the levels have where cells are missing, 0 where nothing can be told."""
    squares: float


@dataclass(frozen=True)
class Data:
    """The points as a linear model sees them: numbers of levels, log latencies, weights."""

    levels: NDArray[np.intp]
    counts: Sequence[int]
    values: Vector
    weights: Vector

    def fit(self, terms: Sequence[Term]) -> Fit:
        """The model of these terms."""
        return Fit(design(terms, self.levels, self.counts), self.values, self.weights)


def type_two(terms: Sequence[Term], data: Data) -> list[Squares]:
    """What each term explains beyond all that don't contain it.

    Type II, as Yates (1934), The analysis of multiple classifications with unequal numbers in the different
    classes, and Langsrud (2003), ANOVA for unbalanced data: use Type II instead of Type III sums of squares.
    In a whole grid types I, II and III are the same. Otherwise the sums need not add up to the total.
    """
    found = []
    for term in terms:
        others = [other for other in terms if not set(term) <= set(other)]
        without, beside = data.fit(others), data.fit([*others, term])
        found.append(_difference(term, without, beside))
    return found


def type_three(terms: Sequence[Term], data: Data) -> list[Squares] | None:
    """What each term explains beyond all others, those that contain it too; None where cells of a term are
    missing, as the sums then depend on how the levels are coded.

    Type III, as Yates (1934) by weighted squares of means: it compares plain means over the levels of the
    other factors.
    """
    full = data.fit(terms)
    if full.rank < full.design.shape[1]:
        return None
    found = []
    for place, term in enumerate(terms):
        kept = [columns(other, data.levels, data.counts) for at, other in enumerate(terms) if at != place]
        without = Fit(np.hstack([np.ones((len(data.values), 1)), *kept]), data.values, data.weights)
        found.append(_difference(term, without, full))
    return found


def _difference(term: Term, without: Fit, beside: Fit) -> Squares:
    freedom = beside.rank - without.rank
    explained = without.residual_squares - beside.residual_squares
    return Squares(term, freedom, max(explained, 0.0) if freedom else 0.0)
