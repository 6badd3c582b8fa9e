"""The jobs of a sweep that a launcher runs in processes of their own, here or on other machines: they tell
that their sweep goes on, and end with it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from dlas.processes import identity
from dlas.tracking import delivery, leftovers
from dlas.tracking import store as tracking
from dlas.tracking.store import ERROR, FINGERPRINT, LEFT, PARENT, PROCESS, Record, Store

BEAT_SECONDS = 60.0
END_SECONDS = 20.0
"""Time that jobs on this machine have to end and to close their runs: the work of a point has half of it."""

POLL_SECONDS = 0.2

log = logging.getLogger("dlas.run")


def keep_beating(store: Store, run: str) -> Callable[[], None]:
    """Note every minute that the process which leads a sweep is there: it may wait for hours, while jobs wait
    for a machine. Returns what ends that."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            leftovers.beat(store, [run])

    threading.Thread(target=beat, daemon=True).start()
    return over.set


def beat(run: delivery.Draft, sweep: str | None) -> None:
    """Note that the process of a point is there; KeyboardInterrupt where its sweep was stopped."""
    require_going_on(run.store, sweep)
    delivery.beat(run, sweep)


def require_going_on(store: Store | None, sweep: str | None) -> None:
    """KeyboardInterrupt where the sweep was stopped. It goes on where its command was killed; a store that
    can't be reached now is asked later."""
    if store is None or sweep is None:
        return
    try:
        run = tracking.fetch(store, sweep)
    except Exception as error:  # whatever the store's client raises
        log.debug("whether the sweep %s goes on is not known: %s", sweep, error)
        return
    if run.status == "KILLED" and not run.tags.get(ERROR, "").startswith(LEFT):
        raise KeyboardInterrupt(f"the sweep {sweep} was stopped")


def stop(store: Store, sweep: str) -> None:
    """Interrupt the jobs of a stopped sweep that run on this machine, and wait for their ends.

    Those on other machines see that the sweep was stopped when they next look, within a minute.
    """
    for process in _here(_running(store, sweep)):
        with suppress(ProcessLookupError):
            os.kill(int(process.pid), signal.SIGINT)
    wait_for_ends(store, sweep, END_SECONDS)


def wait_for_ends(store: Store, sweep: str, seconds: float) -> None:
    """Wait up to so many seconds for the ends of the jobs on this machine."""
    until = time.monotonic() + seconds
    while _here(_running(store, sweep)) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)


def remove_attempts(store: Store | None, sweep: str | None, fingerprint: str) -> None:
    """Remove the sweep's unfinished runs of this point, which an earlier beginning of its job left."""
    if store is None or sweep is None:
        return
    for run in tracking.points(store, sweep):
        told = run.tags.get(PARENT), run.tags.get(FINGERPRINT)
        if told == (sweep, fingerprint) and run.status != "FINISHED":
            log.warning("the job was begun again: its earlier run %s (%s) is removed", run.run_id, run.status)
            tracking.remove(store, run.run_id)


def _running(store: Store, sweep: str) -> Sequence[Record]:
    try:
        return [run for run in tracking.points(store, sweep) if run.status == "RUNNING"]
    except Exception as error:  # whatever the store's client raises
        log.debug("which jobs of the sweep %s are at work is not known: %s", sweep, error)
        return []


def _here(runs: Iterable[Record]) -> list[identity.Identity]:
    """The processes of the runs that are at work on this machine; this one is not among them."""
    known = [identity.parsed(run.tags.get(PROCESS, "")) for run in runs]
    return [one for one in known if one is not None and one != identity.this() and one.is_over() is False]
