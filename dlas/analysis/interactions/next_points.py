"""What to measure next: the points of the grid that nobody tried, by how likely they are to be worth it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtr

from dlas.analysis.grid import Grid
from dlas.analysis.interactions.rivals import Rivals
from dlas.analysis.interactions.rivals import of as rivals_of
from dlas.analysis.measured_point import LAYERS, STEP
from dlas.analysis.statistics.linear_model import Fit, Matrix, Term, design, main_effects, with_pairs

AT_ONCE = 4096
"""Rows of a design in memory at a time."""


@dataclass(frozen=True)
class NextPoint:
    """A combination of choices that was not tried."""

    overrides: str
    """What runs it, behind `python -m dlas.run`, beside what all points have in common."""
    choices: Mapping[str, str]
    predicted_ms: float
    low_ms: float
    high_ms: float
    """Two standard errors of the prediction to each side, in milliseconds."""
    chance: float
    """Chance that no point of its data set and target is both as accurate and faster."""
    accuracy: float | None
    """Accuracy of the same network where it was measured; None where it was not, and all points count."""


@dataclass(frozen=True)
class Next:
    """The points that were not tried, the likeliest first."""

    points: tuple[NextPoint, ...]
    untried: int
    """Number of combinations that nobody tried and that could be gone through."""
    never_together: tuple[tuple[str, str, str, str], ...]
    """Pairs of choices (factor, choice, factor, choice) that no point has together: what such a point would
    take can't be told, or the stack has no such point."""
    model: str
    """What predicts; empty where the points are too few to."""


def next_points(grid: Grid, most: int = 10) -> Next:
    """The untried points by the chance to be on the front of accuracy and latency.

    A linear model of the log latency predicts, with pairs of factors where points are left over to judge it,
    else of main effects. Its error is that of its residuals: what it can't explain counts, not noise alone.
    The chance that a prediction beats the best known is the probability of improvement (Kushner 1964, A new
    method of locating the maximum point of an arbitrary multipeak curve in the presence of noise): it is high
    for points that look fast, and for those of which little is known.
    """
    untried = list(grid.untried())
    apart = _never_together(grid)
    terms, fit = _model(grid)
    if fit is None or not untried:
        return Next((), len(untried), apart, "")
    rivals = rivals_of(grid)
    judged = sorted((-_chance(rivals, fit, one), one) for one in _predictions(grid, terms, fit, untried))
    points = tuple(_next_point(grid, rivals, one, -negative) for negative, one in judged[:most])
    name = "effects and pairs" if len(terms) > len(grid.factors) else "effects without pairs"
    return Next(points, len(untried), apart, name)


@dataclass(frozen=True, order=True)
class _Prediction:
    log: float
    """Log of the latency in milliseconds."""
    error: float
    levels: tuple[str, ...]


def _chance(rivals: Rivals, fit: Fit, one: _Prediction) -> float:
    """The chance that the latency is below that of all rivals, by Student's t."""
    best = rivals.fastest(one.levels)
    return 1.0 if best is None else float(stdtr(fit.freedom, (best - one.log) / one.error))


def _next_point(grid: Grid, rivals: Rivals, one: _Prediction, chance: float) -> NextPoint:
    settings = _settings(grid, one.levels)
    low, high = one.log - 2 * one.error, one.log + 2 * one.error
    times = (math.exp(one.log), math.exp(low), math.exp(high))
    return NextPoint(overrides(settings), settings, *times, chance, rivals.accuracy(one.levels))


def overrides(settings: Mapping[str, str]) -> str:
    """The settings as they are typed behind `python -m dlas.run`, quoted for a shell."""
    return " ".join(shlex.quote(f"{key}={_typed(key, value)}") for key, value in settings.items())


def _typed(key: str, value: str) -> str:
    steps = value.split(STEP)
    return f"[{','.join(steps)}]" if key == "compression" and len(steps) > 1 else value


def _model(grid: Grid) -> tuple[list[Term], Fit | None]:
    """The largest model that leaves points to judge it by."""
    ones = np.ones(len(grid.cells))
    for terms in (with_pairs(len(grid.factors)), main_effects(len(grid.factors))):
        fit = Fit(design(terms, grid.numbers, grid.counts), grid.means, ones)
        if fit.freedom > 0 and fit.residual_squares > 0:
            return terms, fit
    return [], None


def _predictions(
    grid: Grid, terms: Sequence[Term], fit: Fit, untried: Sequence[tuple[str, ...]]
) -> list[_Prediction]:
    """Predictions of the points that the model has one for."""
    variance = fit.residual_squares / fit.freedom
    found = []
    for start in range(0, len(untried), AT_ONCE):
        part = untried[start : start + AT_ONCE]
        rows = design(terms, _numbers(grid, part), grid.counts)
        fits, logs = fit.estimable(rows), rows @ fit.coefficients
        errors = np.sqrt(variance * (1 + fit.variance_factors(rows)))
        found += [
            _Prediction(float(log), float(error), levels)
            for levels, known, log, error in zip(part, fits, logs, errors, strict=True)
            if known
        ]
    return found


def _numbers(grid: Grid, combinations: Sequence[tuple[str, ...]]) -> Matrix:
    place = [{level: at for at, level in enumerate(factor.levels)} for factor in grid.factors]
    return np.array([[place[at][level] for at, level in enumerate(each)] for each in combinations])


def _settings(grid: Grid, levels: Sequence[str]) -> dict[str, str]:
    """The choices of a combination by their keys, with those that are the same in all points."""
    points = [point for cell in grid.cells for point in cell.points]
    found = {key: points[0].choices[key] for key in LAYERS if key in points[0].choices}
    for factor, level in zip(grid.factors, levels, strict=True):
        example = next(one for one in points if grid.naming.level(one, factor.name) == level)
        found |= grid.naming.settings(example, factor.name)
    return found


def _never_together(grid: Grid) -> tuple[tuple[str, str, str, str], ...]:
    tried = [*(cell.levels for cell in grid.cells), *grid.failed]
    return tuple(
        (grid.factors[a].name, one, grid.factors[b].name, other)
        for a, b in combinations(range(len(grid.factors)), 2)
        if (together := {(levels[a], levels[b]) for levels in tried})
        for one in grid.factors[a].levels
        for other in grid.factors[b].levels
        if (one, other) not in together
    )
