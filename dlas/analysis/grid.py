"""The points of a sweep as a grid: what varied, what was measured of it, and what was not."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.naming import PLAIN, Naming
from dlas.analysis.naming import of as naming_of
from dlas.analysis.statistics.noise import Drift, Noise
from dlas.analysis.statistics.noise import estimate as estimated_noise

LARGEST = 100_000
"""Most combinations of choices that are gone through one by one."""


@dataclass(frozen=True)
class Factor:
    """A layer, or a setting, whose choice differs between the points."""

    name: str
    levels: tuple[str, ...]
    reference: str
    """The choice that the others are compared with: the plain one, else the most measured, else the first of
    the alphabet."""


@dataclass(frozen=True)
class Cell:
    """What was measured of one combination of choices."""

    levels: tuple[str, ...]
    """The choice of each factor."""
    points: tuple[MeasuredPoint, ...]
    """The points with these choices: one, or several that repeat it."""

    @property
    def unsteady(self) -> bool:
        """Whether no board held still: what the point's times differ by may be another's work."""
        return all(one.unsteady for one in self.points)

    @cached_property
    def logs(self) -> tuple[float, ...]:
        """Log of each session's median latency in ms, of the steady points where there are any."""
        return tuple(log for one in self._counted for log in one.logs)

    @cached_property
    def drift(self) -> Drift:
        """What is not known of the pace beside all these sessions, a point's share being that of its
        sessions."""
        shares = [(len(one.logs) / len(self.logs), one.drift) for one in self._counted]
        variance = sum(share**2 * drift.variance for share, drift in shares)
        return Drift(variance, min(drift.freedom for _, drift in shares))

    @property
    def _counted(self) -> list[MeasuredPoint]:
        return [one for one in self.points if self.unsteady or not one.unsteady]


@dataclass(frozen=True)
class Grid:
    """All points that may be compared, in cells of equal choices."""

    naming: Naming
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    untimed: tuple[MeasuredPoint, ...]
    """Points without a latency: failed ones, and those that were killed or go on."""

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """Levels by number, from 0: a row a cell, a column a factor."""
        place = [{level: at for at, level in enumerate(factor.levels)} for factor in self.factors]
        rows = [[place[at][level] for at, level in enumerate(cell.levels)] for cell in self.cells]
        return np.array(rows, dtype=np.intp).reshape(len(self.cells), len(self.factors))

    @property
    def counts(self) -> list[int]:
        """Number of levels of each factor."""
        return [len(factor.levels) for factor in self.factors]

    @property
    def size(self) -> int:
        """Number of combinations of all choices, measured or not."""
        return math.prod(self.counts)

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """Mean over its sessions of each cell's log latency."""
        return np.array([np.mean(cell.logs) for cell in self.cells])

    @cached_property
    def noise(self) -> Noise | None:
        """What differences of these means have to exceed; None where no cell has sessions that differ."""
        return estimated_noise([cell.logs for cell in self.cells], [cell.drift for cell in self.cells])

    @cached_property
    def steady(self) -> NDArray[np.bool_]:
        """Whether the board held still, of each cell."""
        return np.array([not cell.unsteady for cell in self.cells], dtype=bool)

    @cached_property
    def failed(self) -> frozenset[tuple[str, ...]]:
        """Combinations of these choices that were tried and have no time."""
        measured = {cell.levels for cell in self.cells}
        tried = {self.naming.levels(one) for one in self.untimed}
        known = [set(factor.levels) for factor in self.factors]
        inside = {one for one in tried if all(a in b for a, b in zip(one, known, strict=True))}
        return frozenset(inside - measured)

    def untried(self) -> Iterator[tuple[str, ...]]:
        """Combinations that no point has; none of a grid of more than `LARGEST`, which has too many."""
        known = {cell.levels for cell in self.cells} | self.failed
        if self.size <= LARGEST:
            whole = product(*(factor.levels for factor in self.factors))
            yield from (levels for levels in whole if levels not in known)

    def index(self, name: str) -> int | None:
        """Position of the factor of that name; None where it does not vary."""
        return next((at for at, factor in enumerate(self.factors) if factor.name == name), None)


def comparable(points: Sequence[MeasuredPoint]) -> tuple[tuple[MeasuredPoint, ...], ...]:
    """The points of real boards and those of emulated ones, whose times are never compared; a part without
    points is left out."""
    parts = (tuple(one for one in points if one.emulated == emulated) for emulated in (False, True))
    return tuple(part for part in parts if part)


def of(points: Sequence[MeasuredPoint]) -> Grid:
    """The grid of these points. ValueError where some are emulated and others are not."""
    if len(comparable(points)) > 1:
        raise ValueError("emulated times are compared with no real ones")
    timed = [one for one in points if one.timed]
    naming = naming_of(timed)
    cells: dict[tuple[str, ...], list[MeasuredPoint]] = defaultdict(list)
    for one in timed:
        cells[naming.levels(one)].append(one)
    return Grid(
        naming,
        tuple(_factor(name, [naming.level(one, name) for one in timed]) for name in naming.factors),
        tuple(Cell(levels, tuple(cells[levels])) for levels in sorted(cells)),
        tuple(one for one in points if not one.timed),
    )


def _factor(name: str, chosen: Sequence[str]) -> Factor:
    often = Counter(chosen)
    plain = (level for level in PLAIN if level in often)
    most = min(often, key=lambda level: (-often[level], level))
    return Factor(name, tuple(sorted(often)), next(plain, most))
