"""Points that are timed again: their bundles fetched and checked, their libraries run in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dlas import bundle, config, redeployment
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import Table
from dlas.analysis.tables import comparing
from dlas.compare import asked
from dlas.compare.asked import Asked
from dlas.errors import UserError
from dlas.files import temporary
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.targets import steadiness
from dlas.hardware.timing import deployment, measuring
from dlas.interfaces.targets.target import Target
from dlas.printable import printable
from dlas.redeployment import Opened
from dlas.report import reading
from dlas.tracking.delivery import Kept
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import Record


@dataclass(frozen=True)
class Timed:
    """What was measured of the points."""

    asked: Asked
    measured: Sequence[Measurement]
    """Of each point, all taken in turn."""

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Each point but the first, against the first."""
        return compared(self.measured)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The worst reasons of each kind to doubt the sessions of any point."""
        sessions = [one for measured in self.measured for one in measured.sessions]
        return steadiness.worst(reason for one in sessions for reason in one.unsteadiness)

    @property
    def table(self) -> Table:
        """The points side by side, with their new times."""
        records = measured_points(self.asked.points)
        points = [_as_timed(*one) for one in zip(records, self.measured, strict=True)]
        return comparing.again(points, self.comparisons, self.unsteady)


def timed(kept: Kept, run_ids: Sequence[str], protocol: config.Timing, signers: str | None) -> Timed:
    """Time the points of these runs by the protocol, one image a run.

    Raises UserError, before anything is run, where there is no such run, where a bundle is not as it was
    sealed, or not signed by one of the `signers`, and where a library does not run on this machine or was
    timed elsewhere; and, before anything is timed, where one gives other outputs than the reference.
    """
    temporary.require_room()
    temporary.require_temporary_libraries()
    found = asked.of(kept.store, run_ids)
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        opened = [_opened(kept, one, Path(folder) / one.run_id, signers) for one in found.points]
        board = _one_place(found.points, opened)
        networks = []
        for point, one in zip(found.points, opened, strict=True):
            print("", printable(f"{point.run_id}  {point.name}"), sep="\n")
            libraries = one.bundle.libraries(one.runner, [1])
            redeployment.check(one, libraries, one.made_for)
            networks.append(one.network(libraries))
        print(f"\ntiming     {len(networks)} points in turn, {protocol.sessions} or more sessions of each")
        first = opened[0]
        measured = measuring.measure_in_turn(
            networks,
            board,
            protocol,
            redeployment.with_shapes(redeployment.yardsticks_of(first.bundle, first.timing)),
            is_enough=lambda measured: not any(one.is_open for one in compared(measured)),
        )
    return Timed(found, measured)


def compared(measured: Sequence[Measurement]) -> list[Comparison]:
    """Each measurement but the first, against the first: the intervals of all hold at once."""
    first, *others = measured
    return [Comparison(first, other, paired=True, among=len(others)) for other in others]


def _opened(kept: Kept, point: Record, folder: Path, signers: str | None) -> Opened:
    """The point's bundle, whose library runs on this machine. Nothing of it has run."""
    try:
        folder.mkdir()
        found = redeployment.opened(bundle.trusted(kept.bundle(point.run_id, folder), signers))
        print(printable(f"verified   {point.run_id}: every file is as it was sealed"))
        if not found.made_for.reach.is_local:
            raise UserError(
                f"it was timed on a board elsewhere, {found.made_for.name}, and points take turns on this "
                "machine alone",
                key="run",
                remedy="leave it out; dlas.redeploy times it again on its board",
            )
        deployment.require_board(found.made_for, found.runner)
    except UserError as error:
        problem = f"{point.run_id}, {point.name}: {error.problem}"
        raise UserError(problem, key=error.key, remedy=error.remedy) from None
    return found


def _one_place(points: Sequence[Record], opened: Sequence[Opened]) -> Target:
    """The target whose threads and cores all points run on; UserError (run) where they differ."""
    first = opened[0].made_for
    for point, one in zip(points, opened, strict=True):
        if (one.made_for.placement, one.made_for.code.kind) != (first.placement, first.code.kind):
            raise UserError(
                f"{point.run_id}, {point.name} runs on other cores than the first point, or on more or fewer",
                key="run",
                remedy="points of one target and of the same settings of it",
            )
    return first


def _as_timed(point: MeasuredPoint, found: Measurement) -> MeasuredPoint:
    """The point with its new times in the place of those of its run."""
    interval = found.interval_ms
    return replace(
        reading.with_medians(point, found),
        median_ms=found.median_ms,
        low_ms=interval.low,
        high_ms=interval.high,
        unsteady="; ".join(found.unsteady),
    )
