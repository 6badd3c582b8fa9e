"""The runs that are kept: in the store, and on their way to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlas import config
from dlas.files import folders
from dlas.tracking import store as tracking
from dlas.tracking.delivery import seen
from dlas.tracking.delivery.waiting import Place
from dlas.tracking.store import Record, Store


@dataclass(frozen=True)
class Kept:
    """A store with the place of what waits to be sent to it."""

    place: Place
    store: Store

    def run(self, run_id: str) -> Record:
        """The run; UserError where there is none."""
        return tracking.fetch(self.store, run_id)

    def bundle(self, run_id: str, destination: Path) -> Path:
        """The run's bundle, fetched to the destination; UserError where it has none, or the disk is full."""
        with folders.disk_troubles(self.place.artifacts):
            return seen.fetch_bundle(self.place, self.store, run_id, destination)


def kept(artifacts: Path, where: config.Tracking) -> Kept:
    """The store that is there already, for a command that reads and adds runs; UserError where there is
    none."""
    place = Place(artifacts, where.uri, where.experiment)
    store = place.open_existing()
    tracking.require_place_for_files(store)
    return Kept(place, store)
