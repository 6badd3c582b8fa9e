"""The sweep that this process leads, until it is closed or abandoned."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas.config import composing
from dlas.errors import first_line
from dlas.processes import slurm
from dlas.tracking import delivery, jobs, remote
from dlas.tracking import store as tracking
from dlas.tracking.delivery import Place
from dlas.tracking.sweep.closing import not_of, print_table
from dlas.tracking.sweep.membership import PARENT
from dlas.tracking.sweep.places import clear_up

LOST_SECONDS = 2.0
"""Time that jobs have to end when their launcher gave up."""

log = logging.getLogger("dlas.run")


@dataclass(frozen=True)
class Led:
    """A sweep that this process leads: its run, where runs go, its points by name as far as they are certain,
    its launcher, the folder of what Hydra and the launcher write, and what ends its heartbeat."""

    run: tracking.OpenRun
    place: Place
    points: tuple[str, ...]
    launcher: str
    folder: Path
    end_beating: Callable[[], None]


led_here: list[Led] = []


def is_led_here() -> bool:
    """Whether this process makes its points one after the other, and is no helper of the one that leads."""
    return bool(led_here) or PARENT not in os.environ


def count_led() -> int:
    """Number of points that are made for the sweep which this process leads; 1 where it leads none."""
    return len(led_here[-1].points) if led_here else 1


def records(run_ids: Sequence[str]) -> list[tracking.Record]:
    """Runs of the sweep that this process leads."""
    return [delivery.fetch(led_here[-1].place, run_id) for run_id in run_ids]


def launcher() -> str | None:
    """The launcher of the sweep that this process still leads, where its jobs are processes of their own."""
    return next((led.launcher for led in led_here if led.launcher != composing.BASIC_LAUNCHER), None)


def slurm_folder() -> Path | None:
    """The folder of the sweep that this process still leads, where its jobs are SLURM's."""
    return next((led.folder for led in led_here if led.launcher == composing.SLURM_LAUNCHER), None)


def abandon(status: str) -> None:
    """End the sweep that this process still leads, if any, when it is KILLED its jobs too; print what there
    is of its table, and the points that were not begun."""
    while led_here:
        led = led_here.pop()
        led.end_beating()
        delivery.end_sweep(led.place, led.run, status)
        if led.launcher != composing.BASIC_LAUNCHER:
            _end_jobs(led, status)
        begun = delivery.points(led.place, led.run.store, led.run.run_id)
        note_outcome(led, begun)
        taken = not_of(begun, led.run.run_id)
        print_table(begun, taken, led.place)
        left = Counter(led.points) - Counter(point.name for point in begun if point.run_id not in taken)
        if left:
            print(f"not begun, {left.total()} of {len(led.points)} points:")
            print("".join(f"  {name}\n" for name in left.elements()), end="")


def _end_jobs(led: Led, status: str) -> None:
    """Have the jobs of a KILLED sweep end or not begin, and close the runs of those that ended with their
    launcher."""
    if led.launcher == composing.SLURM_LAUNCHER and status == "KILLED":
        slurm.cancel_waiting(led.folder)
    if status == "KILLED":
        jobs.stop(led.run.store, led.run.run_id)
    else:
        jobs.wait_for_ends(led.run.store, led.run.run_id, LOST_SECONDS)
    try:
        clear_up(led.place, led.run.store)
    except Exception as error:  # the store may be what failed
        log.warning("runs of jobs that ended are closed by the next command: %s", error)


def note_outcome(led: Led, points: Sequence[tracking.Record]) -> None:
    """Have the store tell what the sweep came to; a warning where it can't be told."""
    from dlas.tracking.outcome import marks, models  # SciPy is behind them, as behind the table

    models.register(led.run.store, points)
    try:
        with remote.hasty():
            marks.note(led.run, points)
    except Exception as error:  # whatever the store's client raises
        log.warning("the sweep's run lacks what the table says: %s", first_line(error))
