"""The runs that wait to be sent: `<artifacts>/unsent`, with a folder for each."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from dlas import config
from dlas.errors import UserError, first_line
from dlas.tracking import remote
from dlas.tracking import store as tracking
from dlas.tracking.delivery import parcel as parcels
from dlas.tracking.delivery import sending
from dlas.tracking.delivery.parcel import RUN, Parcel
from dlas.tracking.outcome import models
from dlas.tracking.store import FINGERPRINT, KIND, PARENT, UNSENT, Record, Store

log = logging.getLogger("dlas.run")


@dataclass(frozen=True)
class Place:
    """Where runs of a command go."""

    artifacts: Path
    uri: str | None
    """`tracking.uri`."""
    experiment: str

    @property
    def address(self) -> str | None:
        """The store's address as it may be written down; None for the database in the artifacts folder."""
        uri = tracking.store_uri(self.artifacts, self.uri)
        return None if uri == tracking.embedded_uri(self.artifacts) else remote.shown(uri)

    def open(self) -> Store:
        """The store, for a command that starts; errors as those of `open_store`."""
        return tracking.open_store(self.artifacts, self.uri, self.experiment)

    def open_existing(self) -> Store:
        """The store, for a command that needs runs of it; errors as those of `open_store`, and where it was
        never made."""
        tracking.require_there(self.artifacts, self.uri, self.experiment)
        return self.open()

    def join(self) -> Store:
        """The store, in the middle of a command; errors as those of `join_store`."""
        return tracking.join_store(self.artifacts, self.uri, self.experiment)

    @property
    def options(self) -> tuple[str, ...]:
        """What other commands are told to find these runs; nothing where they look by themselves."""
        usual = config.Tracking()
        told = {
            "artifacts": None if self.artifacts == config.default_artifacts() else self.artifacts,
            "tracking.uri": None if self.uri is None else remote.shown(self.uri),
            "tracking.experiment": None if self.experiment == usual.experiment else self.experiment,
        }
        return tuple(f"{key}={value}" for key, value in told.items() if value is not None)

    @property
    def command(self) -> str:
        """The command that sends what waits."""
        return shlex.join(["python", "-m", "dlas.sync", f"artifacts={self.artifacts}"])


def folder_of(artifacts: Path, name: str) -> Path:
    """The folder of the run that waits under this name, there or not."""
    return artifacts / "unsent" / name


def folders(artifacts: Path) -> list[Path]:
    """The folders of all runs that wait, in the order in which they ended."""
    found = [path.parent for path in folder_of(artifacts, "").glob(f"*/{RUN}")]
    return sorted(found, key=lambda folder: (folder / RUN).stat().st_mtime_ns)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keep other processes from sending what waits in the folder; False where one does so already."""
    import filelock

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if not folder.exists():
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def record(folder: Path) -> Record:
    """The run in the folder as its store would tell it."""
    parcel = parcels.read(folder)
    metrics = {number.name: number.value for number in parcel.metrics}
    tags = {**parcel.tags, UNSENT: str(folder)}
    run_id = parcel.run_id or parcel.origin
    return Record(run_id, parcel.name, parcel.status, parcel.params, metrics, tags, parcel.ended / 1000)


def records(artifacts: Path) -> list[Record]:
    """All runs that wait, as their stores would tell them; one that can't be read is named."""
    found = []
    for folder in folders(artifacts):
        try:
            found.append(record(folder))
        except UserError as error:
            log.error("a run that waits can't be read: %s", error)
    return found


def earlier(artifacts: Path, fingerprint: str, rerun: str) -> Record | None:
    """The point of that fingerprint that waits, where `rerun`, as `tracking.earlier` takes it, counts it."""
    points = [run for run in records(artifacts) if run.tags.get(KIND) == "point"]
    return tracking.telling([run for run in points if run.tags.get(FINGERPRINT) == fingerprint], rerun)


def points(artifacts: Path, sweep: str) -> list[Record]:
    """The points of a sweep that wait."""
    found = records(artifacts)
    return [run for run in found if run.tags.get(PARENT) == sweep and run.tags.get(KIND) == "point"]


def send(place: Place, store: Store | None, folder: Path) -> str | None:
    """Send the run in the folder, which this process holds, and remove the folder; returns its id there.

    Where that fails, or there is no store that could be reached, the run stays and the log tells how it is
    sent; None then.
    """
    if store is None:
        tell(place, folder, "its store can't be reached")
        return None
    try:
        run_id = sending.send(store, folder, parcels.read(folder))
    except Exception as error:  # whatever a store's client raises
        tell(place, folder, reason(error))
        return None
    rmtree(folder)
    return run_id


def reach(place: Place) -> Store | None:
    """The store, in the middle of a command; None, with a warning, where it can't be reached now.

    It may be away for some minutes, but is asked once where something waits already.
    """
    try:
        with remote.hasty() if folders(place.artifacts) else nullcontext():
            return place.join()
    except UserError as error:
        told = "the store can't be reached, so what is measured waits on this disk: %s"
        log.warning(told, reason(error))
        return None


def send_again(place: Place) -> None:
    """Send what waits, in the middle of a command, if the store can be reached again."""
    if folders(place.artifacts):
        store = reach(place)
        if store is not None:
            send_all(place, store)


def send_all(place: Place, store: Store) -> None:
    """Send all that waits for the store, but for what another process sends just now."""
    sent = []
    for folder in folders(place.artifacts):
        with held(folder) as ours:
            parcel = _parcel(folder) if ours and (folder / RUN).exists() else None
            if parcel is None or (parcel.store, parcel.experiment) != (place.address, place.experiment):
                continue
            run_id = send(place, store, folder)
            if run_id is not None:
                log.info("'%s', which waited in %s, is in the store now: run %s", parcel.name, folder, run_id)
                sent.append(run_id)
    models.register(store, [tracking.fetch(store, run_id) for run_id in sent])


def send_everywhere(artifacts: Path, uri: str | None) -> None:
    """Send all that waits, each run to its own store; the log tells what can't be sent, and why.

    `uri` is the full address of one of these stores, where what is written down of it is not all.
    """
    given = tracking.store_uri(artifacts, uri)
    waiting = [parcel for folder in folders(artifacts) if (parcel := _parcel(folder)) is not None]
    for store, experiment in dict.fromkeys((parcel.store, parcel.experiment) for parcel in waiting):
        address = tracking.embedded_uri(artifacts) if store is None else store
        place = Place(artifacts, given if remote.shown(given) == address else address, experiment)
        try:
            send_all(place, place.open())
        except UserError as error:
            log.error("%s", error)


def reason(error: Exception) -> str:
    """Why a store takes nothing, in a person's words."""
    if isinstance(error, OSError) and error.filename is not None:
        return str(error)
    return remote.network_reason(error) or first_line(error)


def tell(place: Place, folder: Path, reason: str) -> None:
    """Log that a run is not in its store yet, why, and how it gets there."""
    log.error("not sent yet: %s\n  it is kept in %s; this sends it: %s", reason, folder, place.command)


def _parcel(folder: Path) -> Parcel | None:
    try:
        return parcels.read(folder)
    except UserError as error:
        log.error("a run that waits can't be read: %s", error)
        return None
