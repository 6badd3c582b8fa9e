"""All that the points of a sweep tell of how their choices act on the latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlas.analysis import grid as grids
from dlas.analysis.grid import Grid
from dlas.analysis.interactions.effects import Effect, effects
from dlas.analysis.interactions.flips import Flips, flips
from dlas.analysis.interactions.next_points import Next, next_points
from dlas.analysis.interactions.ratios import Interaction, Unseen, interactions
from dlas.analysis.interactions.shares import Shares, shares
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.statistics.noise import Noise


@dataclass(frozen=True)
class Study:
    """What was found of points that may be compared: all on real boards, or all on emulated ones."""

    grid: Grid
    noise: Noise | None
    """The spread between sessions; None where no point has several that differ."""
    effects: tuple[Effect, ...]
    shares: Shares
    interactions: tuple[Interaction, ...]
    unseen: tuple[Unseen, ...]
    flips: Flips
    next: Next
    emulated: bool


def studies(points: Sequence[MeasuredPoint]) -> tuple[Study, ...]:
    """A study of the real points and one of the emulated ones, each where there are any."""
    return tuple(_study(part) for part in grids.comparable(points))


def _study(points: Sequence[MeasuredPoint]) -> Study:
    grid = grids.of(points)
    noise = grid.noise
    found, unseen = interactions(grid, noise)
    return Study(
        grid,
        noise,
        tuple(effects(grid, noise)),
        shares(grid, noise),
        tuple(found),
        tuple(unseen),
        flips(grid, noise),
        next_points(grid),
        points[0].emulated,
    )
