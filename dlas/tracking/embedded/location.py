"""Where the files of runs lie: beside the database, wherever that is today.

MLflow writes absolute places into the tables `experiments` and `runs`. A database that was moved, copied or
mounted elsewhere names its old place there, which may be gone, or belong to the original of a copy. So files
are looked for, and written, beside the database; and what the tables say is put right for MLflow's own UI.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

FOLDER = "mlruns"
"""Folder of the files of runs, beside the database. An experiment that MLflow placed itself has a folder of
its own below one of this name, and stays where it is."""

FILES = "artifacts"

log = logging.getLogger("dlas.tracking")


def folder(database: Path) -> Path:
    """Folder of the files of runs."""
    return database.absolute().parent / FOLDER


def is_writable(database: Path) -> bool:
    """Whether the database, and what lies beside it, can be written."""
    return os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)


def files_of_run(database: Path, run_id: str, recorded: str) -> str:
    """Place of a run's files, as MLflow takes it. `recorded` is what the table says.

    It is beside the database, but for a run of an experiment that has another place, and for files that were
    left behind when the database was moved by itself.
    """
    old = _folder_of_run(run_id, recorded)
    if old is None:
        return recorded
    beside = folder(database) / run_id
    return recorded if (old / run_id).exists() and not beside.exists() else (beside / FILES).as_uri()


def path_of(uri: str) -> Path | None:
    """The path that a URI names; None for one that is not of a disk."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if uri.startswith("/") else None


def settle(database: Path) -> None:
    """Have the tables name the folder beside the database where they name another one.

    A run whose files are still at the old place, and not here, keeps it. Nobody else may open the database
    meanwhile.
    """
    here = folder(database)
    with closing(sqlite3.connect(database)) as connection:
        experiments = _elsewhere(
            connection.execute("SELECT experiment_id, artifact_location FROM experiments"),
            lambda _, recorded: _folder_of_experiment(recorded),
            here,
        )
        runs = _elsewhere(connection.execute("SELECT run_uuid, artifact_uri FROM runs"), _folder_of_run, here)
        here_now = [run for run, old in runs.items() if (here / run).exists() or not (old / run).exists()]
        with connection:
            connection.executemany(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                [(here.as_uri(), experiment) for experiment in experiments],
            )
            connection.executemany(
                "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?",
                [((here / run / FILES).as_uri(), run) for run in here_now],
            )
    for old in sorted({*experiments.values(), *(runs[run] for run in here_now)}):
        moved = [run for run in here_now if runs[run] == old]
        left = sum(place == old for place in runs.values()) - len(moved)
        told = (
            f"{database} was moved or copied from {old.parent}: files of runs are kept beside it from now on"
        )
        log.warning("%s%s", told, f"; those of {left} runs are still there" if left else "")


def _elsewhere(
    rows: sqlite3.Cursor, folder_of: Callable[[str, str], Path | None], here: Path
) -> dict[str, Path]:
    """The keys of the rows that name another folder than that beside the database, with the folder."""
    found = {str(key): folder_of(str(key), recorded or "") for key, recorded in rows}
    others = {old for old in found.values() if old is not None and not _is_same(old, here)}
    return {key: old for key, old in found.items() if old in others and old is not None}


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _folder_of_experiment(recorded: str) -> Path | None:
    place = path_of(recorded)
    return place if place is not None and place.name == FOLDER else None


def _folder_of_run(run_id: str, recorded: str) -> Path | None:
    """The folder of all runs' files that a run's place is in; None for one that is elsewhere."""
    place = path_of(recorded)
    return place.parents[1] if place is not None and place.parts[-3:] == (FOLDER, run_id, FILES) else None
