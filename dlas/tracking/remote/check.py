"""Whether a store on another machine can be used, told at the start of a command and within seconds."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dlas.errors import UserError
from dlas.processes import deadline
from dlas.tracking.remote import answer, refusals
from dlas.tracking.remote.address import PROXIED, is_database_server, is_here, is_server
from dlas.tracking.remote.patience import answer_seconds, once

PROBE_FOLDER = "dlas-probe"
"""Folder beside those of an experiment's runs, for files that are removed at once."""

CONNECT_REQUESTS = 2
"""Requests for an experiment, which may have to be made."""

PROBE_REQUESTS = 5
"""Requests for a file by way of a server, each of which is given up by itself: it is written, looked for,
read and removed. A client of another store waits for a minute each time, so that it has the time of one."""


def require_answer(address: str) -> None:
    """UserError where nobody answers at the address of a server. It takes no import of MLflow."""
    if is_server(address):
        import_module("requests")  # not in the time that the server has
        _raise(_in_time(1, lambda: answer.refusal_of(address), refusals.silent(address)))


def require_usable(address: str, connect: Callable[[], object]) -> None:
    """UserError where the store doesn't let this user in.

    `connect` asks a server for an experiment. A database is reached without MLflow, whose client tries for
    minutes, and logs each time.
    """
    if is_server(address):
        import_module("mlflow.store.tracking.rest_store")
        reach = connect
    elif is_database_server(address):
        reach = _database(address)
    else:
        return

    def use() -> UserError | None:
        os.environ.update(once())
        try:
            reach()
        except UserError as error:
            return error
        except Exception as error:  # of MLflow, requests, SQLAlchemy, or a driver
            return refusals.explained(address, error)
        return None

    requests = CONNECT_REQUESTS if is_server(address) else 1
    _raise(_in_time(requests, use, refusals.silent(address)))


def require_place_for_files(address: str, location: str) -> None:
    """UserError where the files of runs can't be kept: a small one is written, read and removed.

    `location` is where the store has the experiment's files.
    """
    if urlsplit(location).scheme in ("", "file"):
        folder = Path(url2pathname(urlsplit(location).path))
        if is_server(address) and not is_here(address) and not folder.parent.exists():
            raise refusals.elsewhere(address, location)
        return
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository: Any = get_artifact_repository(location, tracking_uri=address)
    except Exception as error:  # of MLflow, or that a package is missing
        raise refusals.no_place_for_files(address, location, error) from None

    def use() -> UserError | None:
        os.environ.update({**once(), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
        try:
            _keep_a_file(repository)
        except Exception as error:  # of MLflow, requests, or the client of such a store
            return refusals.no_place_for_files(address, location, error)
        return None

    requests = PROBE_REQUESTS if location.startswith(PROXIED) else 1
    _raise(_in_time(requests, use, refusals.files_take_too_long(address, location)))


def _in_time(requests: int, use: Callable[[], UserError | None], late: UserError) -> UserError | None:
    """What the use of a store raises, `late` where that takes longer than so many requests may."""
    try:
        return deadline.within(requests * answer_seconds(), use)
    except TimeoutError:
        return late


def _raise(error: UserError | None) -> None:
    if error is not None:
        raise error


def _database(address: str) -> Callable[[], object]:
    """What reaches the database, with its driver imported; UserError where that is not there."""
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address)
    except Exception as error:  # of SQLAlchemy, or that a package is missing
        raise refusals.explained(address, error) from None
    return lambda: engine.connect().close()


def _keep_a_file(repository: Any) -> None:
    name, content = f"{uuid.uuid4()}.txt", str(uuid.uuid4())
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        (Path(folder) / name).write_text(content)
        repository.log_artifact(str(Path(folder) / name), PROBE_FOLDER)
        (Path(folder) / "back").mkdir()
        fetched = Path(repository.download_artifacts(f"{PROBE_FOLDER}/{name}", f"{folder}/back")).read_text()
    if fetched != content:
        raise OSError("a file came back as another one")
    with suppress(Exception):  # whoever may write and not delete leaves these 36 bytes
        repository.delete_artifacts(f"{PROBE_FOLDER}/{name}")
