"""Where the runs of a sweep go: its store and its artifacts folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlas.config import Stack
from dlas.errors import UserError
from dlas.files import folders
from dlas.tracking import delivery, leftovers, remote
from dlas.tracking import store as tracking
from dlas.tracking.delivery import Place
from dlas.tracking.embedded import fresh

log = logging.getLogger("dlas.run")


def require_one_store(stacks: list[Stack]) -> None:
    """UserError where the points have several."""
    first = stacks[0]
    if any((stack.artifacts, stack.tracking) != (first.artifacts, first.tracking) for stack in stacks):
        remedy = "leave artifacts and tracking out of the sweep"
        raise UserError("the points of one sweep share one store", key="artifacts", remedy=remedy)


def opened(stack: Stack) -> tracking.Store:
    """The store of a point, as the command starts; raises `UserError` before any work."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts):
        store = tracking.open_store(artifacts, stack.tracking.uri, stack.tracking.experiment)
    tracking.require_place_for_files(store)
    return store


@contextmanager
def made_ahead(stack: Stack) -> Iterator[fresh.Make | None]:
    """What makes the store's database, which is being made meanwhile; None where none is to be made."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts), tracking.made_ahead(artifacts, stack.tracking.uri) as make:
        yield make


def store_of(stack: Stack, make: fresh.Make | None) -> tracking.Store:
    """The store of a point, later on; if it is not there yet, it is made here, once all points are
    checked."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts):
        return tracking.join_store(artifacts, stack.tracking.uri, stack.tracking.experiment, make)


def tell_places(store: tracking.Store, stack: Stack) -> None:
    """Say, as the first line of a run, where it writes."""
    uri, experiment = remote.shown(store.uri), stack.tracking.experiment
    log.info("runs go to %s (experiment %s), files to %s", uri, experiment, stack.artifacts)


def place_of(stack: Stack) -> Place:
    """Where the run of a point goes."""
    return Place(Path(stack.artifacts), stack.tracking.uri, stack.tracking.experiment)


def clear_up(place: Place, store: tracking.Store) -> None:
    """Send what waits, close the runs of other processes that are over, with what they wrote, and remove
    their scratch folders."""
    artifacts = place.artifacts
    delivery.send_all(place, store)
    for run in leftovers.close_left(store, [folder.name for folder in delivery.folders(artifacts)]):
        written = folders.scratch(artifacts, run.run_id) / delivery.FILES / tracking.OUTPUT
        if written.is_file():
            tracking.OpenRun(store, run.run_id).log_output(written)
    for folder in folders.remove_left(artifacts, time.time()):
        log.info("%s was left by a process that is over: removed", folder)
