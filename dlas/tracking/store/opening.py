"""Opening of the store: that of the config, of the environment, or of the artifacts folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlas.errors import UserError, first_line, require
from dlas.tracking import experiment_kind, remote
from dlas.tracking.embedded import fresh, location, schema
from dlas.tracking.embedded.address import SQLITE, address_of, database_at
from dlas.tracking.store.client import client_errors, quiet
from dlas.tracking.store.entities import Store

log = logging.getLogger("dlas.tracking")


def store_uri(artifacts: Path, uri: str | None) -> str:
    """Address of the store: `tracking.uri`, else MLFLOW_TRACKING_URI, else sqlite in the artifacts folder.

    UserError for a path with letters that MLflow, which takes paths for UTF-8, would write to another place.
    """
    address = uri or os.environ.get("MLFLOW_TRACKING_URI") or embedded_uri(artifacts)
    encoding = sys.getfilesystemencoding()
    same = not address.startswith(SQLITE) or address.isascii() or encoding == "utf-8"
    problem = f"{address} has letters that are not in UTF-8 in this locale ({encoding})"
    require(same, "tracking.uri", problem, "a locale with UTF-8, such as LC_ALL=C.UTF-8, or PYTHONUTF8=1")
    return address


def embedded_uri(artifacts: Path) -> str:
    """Address of the database in the artifacts folder."""
    return address_of(artifacts / "mlflow.db")


def is_writable(store: Store) -> bool:
    """Whether runs can be written, as far as it shows: not where a database can only be read."""
    return not store.uri.startswith(SQLITE) or location.is_writable(database_at(store.uri))


def is_there(uri: str) -> bool:
    """Whether there may be a store at the address: not where it is a database that was never made.

    UserError where that can't be told.
    """
    try:
        return not uri.startswith(SQLITE) or database_at(uri).exists()
    except OSError as error:  # it lies where this user may not look
        remedy = "a writable place: artifacts=<folder> or tracking.uri=<address>"
        raise _unopened(uri, error.strerror or str(error), remedy) from None


def open_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store:
    """The store, for a command that starts: made if it is not there yet; several processes may ask at once.

    Raises `UserError` naming `tracking.uri` where it cannot be used; within seconds, where it is a server.
    """
    address = store_uri(artifacts, uri)
    remote.require_answer(address)
    quiet()
    remote.require_usable(address, lambda: _connected(address, experiment, None))
    return join_store(artifacts, address, experiment)


@contextmanager
def made_ahead(artifacts: Path, uri: str | None = None) -> Iterator[fresh.Make | None]:
    """What makes the store's database, which a thread is making meanwhile; None where it is there, and where
    the store is not that of the artifacts folder."""
    address = store_uri(artifacts, uri)
    if address != embedded_uri(artifacts) or is_there(address):
        yield None
    else:
        with fresh.made_ahead(artifacts, _make_database) as make:
            yield make


def join_store(
    artifacts: Path, uri: str | None = None, experiment: str = "dlas", make: fresh.Make | None = None
) -> Store:
    """The store, in the middle of a command: a server may be away for some minutes. `make` makes a database
    that is not there yet, in another way than at once.

    Raises `UserError` naming `tracking.uri` where it cannot be opened.
    """
    import filelock

    address = store_uri(artifacts, uri)
    try:
        if not address.startswith(SQLITE):
            # A server says itself where files go; a database has them go to a folder of this machine.
            own = None if remote.is_server(address) else (artifacts / "mlruns").absolute().as_uri()
            return _connected(address, experiment, own)
        problem = f"{address}: what follows a ? is no part of the database's path"
        require("?" not in address, "tracking.uri", problem, "%3F for one in its name")
        database = database_at(address)
        if database.exists() and not location.is_writable(database):
            quiet()
            schema.require_current(database)
            return _connected(address, experiment, None)
        database.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that make one fresh database break it for good.
        with filelock.FileLock(f"{database}.lock"):
            if database.exists():
                quiet()
                schema.upgrade(database)
                location.settle(database)
            else:
                (make or _make_database)(database)
            return _connected(address, experiment, location.folder(database).as_uri())
    except UserError:
        raise
    except OSError as error:
        raise _unopened(address, str(error), "a writable place") from None
    except client_errors() as error:
        if remote.is_server(address):
            raise remote.explained(address, error) from None
        remedy = "sqlite:////<absolute path>/mlflow.db or the address of an MLflow server"
        raise _unopened(address, first_line(error), remedy) from None


def require_place_for_files(store: Store) -> None:
    """UserError where a store on another machine can't keep the files of runs."""
    if not store.uri.startswith(SQLITE):
        place = str(store.client.get_experiment(store.experiment_id).artifact_location)
        remote.require_place_for_files(store.uri, place)


def find_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store | None:
    """The store, to be read; None where it is not there yet, since nothing is made.

    Raises `UserError` naming `tracking.uri` where it cannot be used; within seconds, where it is a server.
    """
    address = store_uri(artifacts, uri)
    if not is_there(address):
        return None
    remote.require_answer(address)
    quiet()
    from mlflow import MlflowClient

    def find() -> object:
        return MlflowClient(tracking_uri=address).get_experiment_by_name(experiment)

    remote.require_usable(address, find)
    try:
        if address.startswith(SQLITE):
            schema.require_current(database_at(address))
        client = MlflowClient(tracking_uri=address)
        known = client.get_experiment_by_name(experiment)
    except client_errors() as error:
        raise _unopened(address, first_line(error), "one that answers") from None
    return None if known is None else Store(client, address, known.experiment_id)


def existing_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store:
    """The store, to be read; UserError where there is none of these runs."""
    found = find_store(artifacts, uri, experiment)
    if found is None:
        raise _without_runs(store_uri(artifacts, uri), experiment)
    return found


def require_there(artifacts: Path, uri: str | None, experiment: str) -> None:
    """UserError where the store is a database that was never made, and would be by opening it."""
    address = store_uri(artifacts, uri)
    if not is_there(address):
        raise _without_runs(address, experiment)


def _without_runs(address: str, experiment: str) -> UserError:
    problem = f"there are no runs of the experiment '{experiment}' in {remote.shown(address)}"
    return UserError(problem, key="artifacts", remedy="artifacts=<folder>, tracking.uri=<address>")


def failure(error: Exception) -> UserError | None:
    """The error that tells of an exception of a store which was open; None for one that is of no store."""
    if not isinstance(error, client_errors()):
        return None
    log.debug("the way there:", exc_info=error)
    problem = remote.shown(f"the store of runs failed: {remote.network_reason(error) or first_line(error)}")
    return UserError(problem, key="tracking.uri", remedy="the same command, once the store answers")


def _unopened(address: str, reason: str, remedy: str) -> UserError:
    """The error for a store that can't be opened; the reason may quote the address."""
    problem = remote.shown(f"{address} cannot be opened: {reason}")
    return UserError(problem, key="tracking.uri", remedy=remedy)


def experiments(store: Store) -> dict[str, Store]:
    """All experiments of the store, by their names."""
    found = store.client.search_experiments()
    return {one.name: Store(store.client, store.uri, one.experiment_id) for one in found}


def _connected(uri: str, experiment: str, artifact_location: str | None) -> Store:
    quiet()
    from mlflow import MlflowClient
    from mlflow.entities import LifecycleStage

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        # Without a place of its own, artifacts would go to ./mlruns of wherever the process stands.
        tags = {experiment_kind.KIND: experiment_kind.MODEL_TRAINING}
        made = client.create_experiment(experiment, artifact_location=artifact_location, tags=tags)
        return Store(client, uri, made)
    if known.lifecycle_stage == LifecycleStage.DELETED:
        remedy = "another name, or `mlflow experiments restore`"
        raise UserError(
            f"the experiment '{experiment}' was deleted", key="tracking.experiment", remedy=remedy
        )
    return Store(client, uri, known.experiment_id)


def _make_database(database: Path) -> None:
    quiet()
    fresh.make(database)
