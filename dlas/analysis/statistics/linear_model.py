"""Linear models of factors and pairs of factors, for grids with holes as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.statistics.noise import Vector

Term: TypeAlias = tuple[int, ...]
"""Positions of the factors of a term: one for a factor's own effect, two for a pair's interaction."""

Matrix: TypeAlias = NDArray[Any]

TOLERANCE = 1e-9
"""Part of the largest singular value below which another counts as 0."""

ROW_TOLERANCE = 1e-6
"""Part of a row's length that may lie outside of the design's row space by rounding."""


def main_effects(factors: int) -> list[Term]:
    """A term for each factor."""
    return [(factor,) for factor in range(factors)]


def with_pairs(factors: int) -> list[Term]:
    """A term for each factor and for each pair."""
    return [*main_effects(factors), *combinations(range(factors), 2)]


def columns(term: Term, levels: Matrix, counts: Sequence[int]) -> Matrix:
    """Columns of a term: deviations coded so that those of a factor sum to 0 over its levels, and their
    products for a pair.

    `levels` has a row a point and a column a factor, numbered from 0; `counts` are the numbers of levels.
    """
    coded = np.ones((len(levels), 1))
    for factor in term:
        deviations = np.vstack([np.eye(counts[factor] - 1), -np.ones(counts[factor] - 1)])
        own = deviations[levels[:, factor]]
        coded = (coded[:, :, None] * own[:, None, :]).reshape(len(levels), -1)
    return coded


def design(terms: Iterable[Term], levels: Matrix, counts: Sequence[int]) -> Matrix:
    """The design matrix: a column of ones, then those of the terms."""
    return np.hstack([np.ones((len(levels), 1)), *(columns(term, levels, counts) for term in terms)])


@dataclass(frozen=True)
class Fit:
    """A least-squares fit, by the singular value decomposition: a design may lack in rank."""

    design: Matrix
    values: Vector
    weights: Vector

    @cached_property
    def _decomposed(self) -> tuple[Matrix, Vector, Matrix]:
        root = np.sqrt(self.weights)[:, None]
        left, singular, right = np.linalg.svd(root * self.design, full_matrices=False)
        kept = singular > TOLERANCE * singular.max(initial=0.0)
        return left[:, kept], singular[kept], right[kept]

    @property
    def rank(self) -> int:
        return len(self._decomposed[1])

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return len(self.values) - self.rank

    @cached_property
    def coefficients(self) -> Vector:
        """The shortest of the vectors that fit best."""
        left, singular, right = self._decomposed
        return right.T @ ((left.T @ (np.sqrt(self.weights) * self.values)) / singular)

    @cached_property
    def residual_squares(self) -> float:
        """Weighted sum of squares of the residuals."""
        left = self._decomposed[0]
        scaled = np.sqrt(self.weights) * self.values
        rest = scaled - left @ (left.T @ scaled)
        return float(rest @ rest)

    def estimable(self, rows: Matrix) -> NDArray[np.bool_]:
        """Whether each linear function of the coefficients has one value for every best fit: whether it lies
        in the row space of the design (Searle 1971, Linear Models, section 5.4)."""
        right = self._decomposed[2]
        outside = rows - (rows @ right.T) @ right
        lengths = np.linalg.norm(rows, axis=1)
        inside: NDArray[np.bool_] = np.linalg.norm(outside, axis=1) <= ROW_TOLERANCE * np.maximum(
            lengths, 1.0
        )
        return inside

    def point_weights(self, row: Vector) -> Vector:
        """Weights of the values whose sum is the estimate of a linear function of the coefficients."""
        left, singular, right = self._decomposed
        return (left @ ((right @ row) / singular)) * np.sqrt(self.weights)

    def variance_factors(self, rows: Matrix) -> Vector:
        """Variance of each linear function's estimate, in variances of a value of weight 1."""
        _, singular, right = self._decomposed
        factors: Vector = np.sum(((rows @ right.T) / singular) ** 2, axis=1)
        return factors
