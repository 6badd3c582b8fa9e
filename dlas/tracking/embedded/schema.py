"""The version of a database's tables, which changes with MLflow's."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from dlas.errors import UserError
from dlas.tracking.embedded.address import address_of

KEY = "tracking.uri"

log = logging.getLogger("dlas.tracking")


def require_current(database: Path) -> None:
    """UserError for tables that are not those of the installed MLflow."""
    found = _revision(database)
    if found is None or found == _newest():
        return
    _require_known(database, found)
    problem = (
        f"{database} has the tables of an older MLflow ({found}, not {_newest()}), and is only read here"
    )
    remedy = (
        "a command that writes runs, such as dlas.run, brings it up to date, or a copy that can be written"
    )
    raise UserError(problem, key=KEY, remedy=remedy)


def upgrade(database: Path) -> None:
    """Bring the tables of an older MLflow up to date, and keep the database as it was beside it.

    UserError for those of a newer MLflow. Nobody else may open the database meanwhile. A kill leaves it as it
    was, or up to date.
    """
    found = _revision(database)
    if found is None or found == _newest():
        return
    _require_known(database, found)
    kept, upgraded = (database.with_name(f"{database.name}.{name}") for name in (found, "upgraded"))
    log.warning("%s has the tables of an older MLflow (%s): they are brought up to date", database, found)
    upgraded.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as watched:
        before = _changes(watched)
        _copy(database, kept)
        _copy(database, upgraded)
        try:
            _upgrade(upgraded)
            if _changes(watched) != before:
                problem = (
                    f"{database} was written by another process while its tables were brought up to date"
                )
                raise UserError(problem, key=KEY, remedy="start again once that process has ended")
            _copy(upgraded, database)
        finally:
            upgraded.unlink(missing_ok=True)
    log.warning("they are those of MLflow %s now; %s is as it was", _installed(), kept)


def _revision(database: Path) -> str | None:
    """The version of the tables; None for a database that has none, or no such tables.

    Opened to be written where that can be, since what a killed process left half-written has to be rolled
    back before anything is read.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    return str(rows[0][0]) if rows else None


def _require_known(database: Path, revision: str) -> None:
    if revision not in _known():
        problem = (
            f"{database} was written by a newer MLflow than the installed {_installed()}: its tables are of "
            f"version {revision}, and versions up to {_newest()} are known"
        )
        raise UserError(problem, key=KEY, remedy="install the MLflow that wrote it, or a newer one")


@cache
def _newest() -> str:
    """The version of the tables that the installed MLflow has."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def _known() -> set[str]:
    """The versions of the tables that the installed MLflow can bring up to date."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    return {step.revision for step in ScriptDirectory.from_config(_get_alembic_config("")).walk_revisions()}


def _upgrade(database: Path) -> None:
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(address_of(database))
    try:
        _upgrade_db(engine)
    finally:
        engine.dispose()


def _installed() -> str:
    from mlflow.version import VERSION

    return str(VERSION)


def _changes(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection has written."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _copy(source: Path, destination: Path) -> None:
    """Make one database the copy of another, at once or not at all."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(destination)) as written:
        read.backup(written)
