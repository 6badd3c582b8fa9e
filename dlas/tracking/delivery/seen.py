"""Runs as a person is told of them: those in the store, and those that wait to be sent to it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from dlas.tracking import leftovers
from dlas.tracking import store as tracking
from dlas.tracking.delivery import waiting
from dlas.tracking.delivery.drafts import Draft
from dlas.tracking.delivery.parcel import FILES
from dlas.tracking.delivery.waiting import Place
from dlas.tracking.store import BUNDLE, Record, Store

log = logging.getLogger("dlas.run")


def beat(run: Draft, parent: str | None) -> None:
    """Note in the store that the process of the run, and of its sweep, is there."""
    if run.store is not None:
        leftovers.beat(run.store, filter(None, [run.run_id, parent]))


def earlier(place: Place, store: Store | None, fingerprint: str, rerun: str) -> Record | None:
    """The run that tells what a new one would, as `tracking.earlier` has it, be it one that waits."""
    waits = waiting.earlier(place.artifacts, fingerprint, rerun)
    if waits is not None or store is None:
        return waits
    return tracking.earlier(store, fingerprint, rerun)


def fetch(place: Place, run_id: str) -> Record:
    """The run; errors as those of `tracking.fetch`, where it does not wait here."""
    waits = [run for run in waiting.records(place.artifacts) if run.run_id == run_id]
    return waits[0] if waits else tracking.fetch(place.join(), run_id)


def points(place: Place, store: Store, sweep: str) -> list[Record]:
    """The points of a sweep; where its store can't be reached, those that wait."""
    waits = waiting.points(place.artifacts, sweep)
    try:
        known = tracking.points(store, sweep)
    except Exception as error:  # whatever the store's client raises
        told = "the store can't be reached, so the table lacks what it has already: %s"
        log.error(told, waiting.reason(error))
        known = []
    ids = {run.run_id for run in waits}
    return [*(run for run in known if run.run_id not in ids), *waits]


def fetch_bundle(place: Place, store: Store, run_id: str, destination: Path) -> Path:
    """Copy the run's bundle under `destination`, and return its folder; errors as those of
    `tracking.fetch_bundle`, where it does not wait here."""
    waits = waiting.folder_of(place.artifacts, run_id) / FILES / BUNDLE
    if waits.is_dir():
        return Path(shutil.copytree(waits, destination / BUNDLE))
    return tracking.fetch_bundle(store, run_id, destination)
