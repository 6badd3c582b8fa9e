"""Sending a run to a store: again and again if need be, until the store has all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlas.errors import UserError
from dlas.tracking import store as tracking
from dlas.tracking.delivery import parcel as parcels
from dlas.tracking.delivery.parcel import FILES, Parcel
from dlas.tracking.store import ORIGIN, OpenRun, Store, files


def send(store: Store, folder: Path, parcel: Parcel) -> str:
    """Have the store hold all of the run, and end it as it ended here; returns its id there.

    What an earlier attempt sent is taken up. Errors as those of `upload`.
    """
    run = upload(store, folder, parcel)
    end(run, parcel)
    return run.run_id


def end(run: OpenRun, parcel: Parcel) -> None:
    """End the run in the store as it ended here."""
    tracking.take_back(run)
    run.store.client.set_terminated(run.run_id, parcel.status, parcel.ended)


def upload(store: Store, folder: Path, parcel: Parcel) -> OpenRun:
    """Have the store hold all of the run, but for its end.

    The files are compared with those that are described before they are sent, and with what the store has
    afterwards: by size on a server, by content in a database of one's own. Raises UserError where they
    differ, and whatever the store's client raises.
    """
    parcels.require_same(folder / FILES, parcel.files)
    run = OpenRun(store, _there(store, parcel) or _made(store, parcel))
    if run.run_id != parcel.run_id:
        parcels.write(folder, replace(parcel, run_id=run.run_id))
    run.log_texts(parcel.params, {**parcel.tags, **_origin(parcel, run.run_id)})
    run.log_numbers(parcel.metrics)
    if parcel.files:
        run.log_files(folder / FILES)
        _require_arrived(run, parcel)
    return run


def _require_arrived(run: OpenRun, parcel: Parcel) -> None:
    """UserError where the store does not have every file of the run."""
    sent = files.sizes(run.store, run.run_id)
    for name, file in parcel.files.items():
        if sent.get(name) != file.bytes:
            has = "nothing" if name not in sent else f"{sent[name]} bytes"
            raise UserError(f"the store has {has} of {name}, which has {file.bytes} bytes", key="run")
    kept = files.folder_of(run.store, run.run_id)
    if kept is not None:
        for name, file in parcel.files.items():
            if parcels.described(kept / name) != file:
                raise UserError(f"{name} is not the same in the store", key=str(kept))


def _there(store: Store, parcel: Parcel) -> str | None:
    """The id of the run in the store; None where it is not there."""
    if parcel.run_id is not None and tracking.has(store, parcel.run_id):
        return parcel.run_id
    known = tracking.of_origin(store, parcel.origin)
    return None if known is None else known.run_id


def _made(store: Store, parcel: Parcel) -> str:
    return tracking.create(
        store, parcel.name, {**parcel.tags, ORIGIN: parcel.origin}, started=parcel.started
    ).run_id


def _origin(parcel: Parcel, run_id: str) -> dict[str, str]:
    return {} if parcel.origin == run_id else {ORIGIN: parcel.origin}
