"""Runs that a process left RUNNING when it was killed, or its machine went down."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from dlas.processes import identity
from dlas.tracking import remote
from dlas.tracking import store as tracking
from dlas.tracking.store import ERROR, HEARTBEAT, LEFT, PROCESS, OpenRun, Record, Store

SILENT_SECONDS = 900.0
"""Age of a heartbeat from which on a process elsewhere counts as over. It beats every minute."""

log = logging.getLogger("dlas.run")


def beat(store: Store, runs: Iterable[str]) -> None:
    """Note that the process of these runs is there, and take back that another process closed them as left; a
    store that can't be reached now is told later."""
    with remote.hasty():
        for run in runs:
            try:
                tracking.take_back(OpenRun(store, run))
                store.client.set_tag(run, HEARTBEAT, str(int(time.time())))
            except Exception as error:  # whatever the store's client raises
                log.debug("no heartbeat in %s: %s", run, error)


def close_left(store: Store, waiting: Collection[str] = ()) -> list[Record]:
    """Close as KILLED every run, sweeps among them, whose process is over, but for those that ended and
    are `waiting` to be sent; returns them."""
    now = time.time()
    left = [run for run in tracking.running(store) if run.run_id not in waiting and _is_left(run, now)]
    for run in left:
        opened = OpenRun(store, run.run_id)
        opened.log(tags={ERROR: f"{LEFT} ({run.tags[PROCESS]})"})
        tracking.close(opened, "KILLED")
        log.warning("%s was RUNNING, and its process is over: KILLED (run %s)", run.name, run.run_id)
    return left


def _is_left(run: Record, now: float) -> bool:
    process = identity.parsed(run.tags.get(PROCESS, ""))
    over = None if process is None else process.is_over()
    if process is not None and over is None:
        with suppress(ValueError, KeyError):
            return now - float(run.tags[HEARTBEAT]) > SILENT_SECONDS
    return bool(over)
