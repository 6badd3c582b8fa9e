"""What part of the variance each factor and each pair of factors explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.statistics.linear_model import Fit, Matrix, Term, design
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
    reduced = _reduced(terms, data)
    found = []
    for term in terms:
        others = [other for other in terms if not set(term) <= set(other)]
        found.append(_difference(term, reduced.rest(others), reduced.rest([*others, term])))
    return found


def type_three(terms: Sequence[Term], data: Data) -> list[Squares] | None:
    """What each term explains beyond all others, those that contain it too; None where cells of a term are
    missing, as the sums then depend on how the levels are coded.

    Type III, as Yates (1934) by weighted squares of means: it compares plain means over the levels of the
    other factors.
    """
    reduced = _reduced(terms, data)
    full = reduced.rest(terms)
    if full.rank < full.columns:
        return None
    without = (reduced.rest([other for other in terms if other != term]) for term in terms)
    return [_difference(term, rest, full) for term, rest in zip(terms, without, strict=True)]


@dataclass(frozen=True)
class _Rest:
    """What a model leaves."""

    columns: int
    rank: int
    squares: float


@dataclass(frozen=True)
class _Reduced:
    """A problem with as many rows as columns that has the sums of squares of a longer one, but for what the
    largest model leaves: an orthogonal transformation changes no length."""

    constant: Matrix
    blocks: Mapping[Term, Matrix]
    """The columns of each term."""
    values: Vector
    _found: dict[frozenset[Term], _Rest] = field(default_factory=dict)

    def rest(self, terms: Sequence[Term]) -> _Rest:
        """What the model of these terms leaves. Many terms are set against the same models."""
        key = frozenset(terms)
        if key not in self._found:
            kept = np.hstack([self.constant, *(self.blocks[term] for term in terms)])
            fit = Fit(kept, self.values, np.ones(len(self.values)))
            self._found[key] = _Rest(kept.shape[1], fit.rank, fit.residual_squares)
        return self._found[key]


def _reduced(terms: Sequence[Term], data: Data) -> _Reduced:
    """The problem by the QR decomposition of the design of all terms."""
    root = np.sqrt(data.weights)
    across, triangle = np.linalg.qr(root[:, None] * design(terms, data.levels, data.counts))
    widths = [math.prod(data.counts[factor] - 1 for factor in term) for term in terms]
    constant, *blocks = np.hsplit(triangle, np.cumsum([1, *widths[:-1]])) if terms else [triangle]
    return _Reduced(constant, dict(zip(terms, blocks, strict=True)), across.T @ (root * data.values))


def _difference(term: Term, without: _Rest, beside: _Rest) -> Squares:
    freedom = beside.rank - without.rank
    explained = without.squares - beside.squares
    return Squares(term, freedom, max(explained, 0.0) if freedom else 0.0)
