"""Finished points as DLAS times them, beside what an outside harness measures of their files.

    python benchmarks/outside.py run=<id>,<id>    points of the store; a sweep's id stands for all of its own

    processes=5           fresh processes for each point outside, which take turns
    runs=50               runs of each
    timing=<name>         protocol of DLAS, as of dlas.compare; timing.budget=60: single settings of it
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store; tracking.experiment=<name> another experiment in it

The files are loaded and run by `plain_loop.py`, which knows the runtimes' own API and nothing of dlas. The
first table has its median beside the one that was stored with the point; the machine may have another pace
now. The second one has ratios of points of one network, the first of them over each other one, which the
pace is not in: outside, and by `python -m dlas.compare run=<id>,<id> again=true`, run right after. They
agree where their intervals overlap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import peers
import plain_loop
from peers import Beside

from dlas import command_line, config, tracking
from dlas.analysis.table import NOTHING, Cell, Table, as_text, measured, number, text
from dlas.bundle import Bundle
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.hardware.results import difference, measurement, sequential
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.reference import INPUTS
from dlas.hardware.targets import target_file
from dlas.hardware.timing.deployment import exclusive_board
from dlas.tracking import Record, Store


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: str
    processes: int = 5
    runs: int = 50
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        enough = self.processes >= measurement.ENOUGH_SESSIONS
        remedy = f"{measurement.ENOUGH_SESSIONS} or more"
        config.require(enough, "processes", "too few to tell how much they differ", remedy)
        config.require(self.runs >= 1, "runs", f"{self.runs} are none", "1 or more")


@dataclass(frozen=True)
class Deployed:
    """The files of a point, and what was measured of it then."""

    run_id: str
    network: str
    compiler: str
    library: Path
    inputs: Path
    stored: Measurement


@dataclass(frozen=True)
class Outside:
    """A point, with the median milliseconds of each outside process."""

    point: Deployed
    medians_ms: list[float]


def main() -> int:
    return command_line.run(__doc__, None, _parse)


def _parse(given: list[str]) -> Work:
    command_line.require_given(given, run="id")
    timing = [one for one in given if one.startswith("timing")]
    options = config.options(Options, [one for one in given if one not in timing])
    where = [one for one in given if one.startswith(("artifacts=", "tracking."))]
    return lambda: compare(options, [*timing, *where])


def compare(options: Options, of_dlas: Sequence[str]) -> int:
    """Time the points, those of a network after those of another, and print both tables; returns the exit
    status. `of_dlas` are arguments of dlas.compare."""
    store = command_line.existing_store(options.artifacts, options.tracking)
    records = [
        point for run in command_line.listed(options.run) for point in tracking.finished(store, run)[0]
    ]
    found: list[Outside] = []
    both: list[tuple[Outside, Outside, Beside]] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        points = {one.run_id: deployed(store, one, Path(folder) / one.run_id) for one in records}
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        for alike in _by_network(records):
            own, *others = outside = [Outside(points[one.run_id], []) for one in alike]
            _time(outside, options)
            found += outside
            if others:
                beside = peers.in_turn(alike, of_dlas)
                failed |= not beside
                both += [(own, *pair) for pair in zip(others, beside, strict=bool(beside))]
        print(f"load {os.getloadavg()[0]:.1f} at the end")
    print(as_text(beside_stored(found)))
    if both:
        print(f"\n{as_text(ratios(both))}")
    return command_line.FAILED if failed else command_line.DONE


def _by_network(records: Sequence[Record]) -> list[list[Record]]:
    alike: dict[str, list[Record]] = {}
    for one in records:
        alike.setdefault(one.params["model.name"], []).append(one)
    return [*alike.values()]


def _time(found: Sequence[Outside], options: Options) -> None:
    """Time the points in fresh processes, in turn."""
    with exclusive_board():
        for _ in range(options.processes):
            for one in found:
                one.medians_ms.append(_in_a_process(one.point, options.runs))


def deployed(store: Store, record: Record, folder: Path) -> Deployed:
    """The point with its bundle, fetched into the folder; UserError where it can't be timed here."""
    folder.mkdir()
    bundle = Bundle(tracking.fetch_bundle(store, record.run_id, folder))
    compiler, made_for = target_file.compiler(bundle.target), target_file.read(bundle.target)
    elsewhere = f"{record.run_id} was timed on another board"
    config.require(made_for.reach.is_local, "run", elsewhere, "a point of a target of this machine's")
    known, remedy = compiler in plain_loop.LOOPS, f"one of: {', '.join(plain_loop.LOOPS)}"
    config.require(known, "run", f"there is no plain loop for {compiler}", remedy)
    library = bundle.libraries(compiler, [1])[1]
    stored = measurement.read(bundle.timing)
    network = record.params["model.name"]
    return Deployed(record.run_id, network, compiler, library, bundle.reference / INPUTS, stored)


def _in_a_process(point: Deployed, runs: int) -> float:
    """The median of the plain loop in a fresh process, in milliseconds."""
    told = [point.compiler, point.library, point.inputs, str(point.stored.threads), str(runs)]
    loop = [sys.executable, "-P", plain_loop.__file__, *map(os.fspath, told)]
    ended = subprocess.run(loop, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or [f"status {ended.returncode}"]
        raise UserError(f"{point.compiler} did not run {point.run_id}: {said[0]}", key="run")
    return float(ended.stdout)


def beside_stored(found: Sequence[Outside]) -> Table:
    """The medians of each point, outside and stored."""
    rows = []
    for one in found:
        point = one.point
        named = text(point.network), text(point.compiler)
        medians = number(median(one.medians_ms)), number(point.stored.median_ms)
        rows.append((*named, *medians, *_over_stored(one), text(point.run_id)))
    headings = ("network", "compiler", "outside ms", "stored ms", "outside / stored", "interval", "run")
    return Table("outside", "Medians outside, and as stored", headings, tuple(rows))


def _over_stored(one: Outside) -> tuple[Cell, Cell]:
    """The ratio, and its interval where enough sessions were stored to tell how much they differ."""
    stored = one.point.stored
    if not stored.has_enough_sessions:
        return number(median(one.medians_ms) / stored.median_ms), Cell(NOTHING)
    found = difference.of_groups(one.medians_ms, stored.session_medians_ms)
    return measured(found.ratio, found.interval(sequential.ERROR))


def ratios(both: Sequence[tuple[Outside, Outside, Beside]]) -> Table:
    """Ratios of the first point of each network to its others, by DLAS and outside."""
    rows = []
    for own, other, beside in both:
        outside = difference.of_ratios(np.divide(own.medians_ms, other.medians_ms))
        interval = outside.interval(sequential.ERROR)
        agree = interval.low <= beside.interval.high and beside.interval.low <= interval.high
        rows.append(
            (
                text(own.point.network),
                text(f"{own.point.compiler} / {other.point.compiler}"),
                *measured(beside.ratio, beside.interval),
                *measured(outside.ratio, interval),
                text("yes" if agree else "no"),
            )
        )
    headings = ("network", "ratio", "dlas.compare", "interval", "outside", "interval", "agree")
    return Table("ratios", "Ratios of points of one network", headings, tuple(rows))


if __name__ == "__main__":
    sys.exit(main())
