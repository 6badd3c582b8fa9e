"""Interactions: how the effect of one choice differs with another layer's choice, as ratios of ratios."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from dlas.analysis.grid import Grid
from dlas.analysis.interactions.matching import Matched, matched
from dlas.analysis.measured_point import LAYERS
from dlas.analysis.statistics import holm
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.statistics.noise import Noise
from dlas.hardware.results.statistics import CONFIDENCE

SETTINGS_OF_A_STUDY = ("dataset", "target", "model")
"""Layers that are given rather than chosen: an effect is told as one of another layer, on each of these."""


@dataclass(frozen=True)
class Interaction:
    """The effect of a choice beside one choice of another layer, over its effect beside another."""

    factor: str
    level: str
    reference: str
    """The latency with `level` over that with `reference` is the effect."""
    other: str
    there: str
    here: str
    """Choices of the factor `other`; `here` is its reference."""
    effect_there: Estimate
    effect_here: Estimate
    estimate: Estimate
    """The ratio of the two ratios, over the contexts where all four were measured."""
    contexts: int
    steady: bool
    """Whether the boards of these points held still. Unsteady ones count only where there are no others."""
    p_value: float | None = None
    """P-value of the ratio of ratios being 1, after Holm over all interactions; None without noise."""

    @property
    def holds(self) -> bool:
        """Whether there is an interaction by more than chance."""
        return self.steady and self.p_value is not None and self.p_value <= 1 - CONFIDENCE


@dataclass(frozen=True)
class Unseen:
    """An interaction of two choices that can't be told: nowhere were all four combinations measured."""

    factor: str
    level: str
    other: str
    there: str


def interactions(grid: Grid, noise: Noise | None) -> tuple[list[Interaction], list[Unseen]]:
    """All interactions of two choices, against their factors' references, and those that can't be told."""
    found: list[Interaction] = []
    unseen: list[Unseen] = []
    for pair in combinations(range(len(grid.factors)), 2):
        at, other = _effect_first(grid, pair)
        for one in _of_pair(grid, matched(grid, noise, [at, other]), at, other):
            if isinstance(one, Unseen):
                unseen.append(one)
            else:
                found.append(one)
    if noise is None:
        return found, unseen
    corrected = holm.adjusted(
        [1.0 if one.estimate.p_value is None else one.estimate.p_value for one in found]
    )
    return [replace(one, p_value=p) for one, p in zip(found, corrected, strict=True)], unseen


def _effect_first(grid: Grid, pair: tuple[int, int]) -> tuple[int, int]:
    """The factor whose effect is told, then the one it is told on."""

    def chosen(at: int) -> tuple[int, int]:
        name = grid.factors[at].name
        given = SETTINGS_OF_A_STUDY.index(name) if name in SETTINGS_OF_A_STUDY else len(SETTINGS_OF_A_STUDY)
        return given, LAYERS.index(name) if name in LAYERS else len(LAYERS)

    other, at = sorted(pair, key=chosen)
    return at, other


def _of_pair(grid: Grid, cells: Matched, at: int, other: int) -> Iterator[Interaction | Unseen]:
    factor, beside = grid.factors[at], grid.factors[other]
    a, b = factor.levels.index(factor.reference), beside.levels.index(beside.reference)
    table = cells.table
    for i, level in enumerate(factor.levels):
        for j, there in enumerate(beside.levels):
            if i == a or j == b:
                continue
            all_four = cells.contexts((i, j), (a, j), (i, b), (a, b))
            if not all_four.any():
                yield Unseen(factor.name, level, beside.name, there)
                continue
            new_there, old_there = table[all_four, i, j], table[all_four, a, j]
            new_here, old_here = table[all_four, i, b], table[all_four, a, b]
            yield Interaction(
                factor.name,
                level,
                factor.reference,
                beside.name,
                there,
                beside.reference,
                cells.difference(new_there, old_there),
                cells.difference(new_here, old_here),
                cells.mean([(1, new_there), (-1, old_there), (-1, new_here), (1, old_here)]),
                len(new_there),
                bool(grid.steady[[*new_there, *old_there, *new_here, *old_here]].all()),
            )
