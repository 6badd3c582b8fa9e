"""Stores that an older or a newer MLflow wrote."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base
from mlflow.version import VERSION
from open_points import start_point

from dlas import tracking
from dlas.errors import UserError

OLDER = "0584bdc529eb"
"""The tables of MLflow 2.13 to 2.20."""

RUN = "a" * 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as an older MLflow left it, made by its own migrations."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    database = tmp_path_factory.mktemp("older") / "mlflow.db"
    engine = create_sqlalchemy_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{database}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLDER)
    engine.dispose()
    return database


@pytest.fixture
def older(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its own for a test, with a run of the experiment dlas."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    database = Path(shutil.copy(made, tmp_path))
    place = (tmp_path / "mlruns").as_uri()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, 'dlas', ?, 'active')",
            [place],
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, source_type, status, lifecycle_stage, artifact_uri, "
            "experiment_id, user_id, start_time, end_time) "
            "VALUES (?, 'old', 'LOCAL', 'FINISHED', 'active', ?, 1, 'somebody', 1, 2)",
            [RUN, f"{place}/{RUN}/artifacts"],
        )
        connection.execute(
            "INSERT INTO params (key, value, run_uuid) VALUES ('model.name', 'vgg16', ?)", [RUN]
        )
    return database


def content(database: Path) -> list[str]:
    """All that the database holds, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_a_store_of_an_older_mlflow_is_brought_up_to_date_and_kept_as_it_was(
    older: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = content(older)
    with caplog.at_level(logging.WARNING, logger="dlas.tracking"):
        store = tracking.open_store(older.parent)
    kept = older.with_name(f"mlflow.db.{OLDER}")
    assert content(kept) == before
    assert f"older MLflow ({OLDER})" in caplog.text
    assert str(kept) in caplog.text
    seen = MlflowClient(f"sqlite:///{older}").get_run(RUN)
    assert (seen.info.status, seen.data.params) == ("FINISHED", {"model.name": "vgg16"})
    run = start_point(store, "new", {})
    tracking.close(run, "FINISHED")
    caplog.clear()
    tracking.open_store(older.parent)
    assert not caplog.records
    assert {path.name for path in older.parent.iterdir()} == {kept.name, "mlflow.db", "mlflow.db.lock"}


def test_a_store_of_a_newer_mlflow_is_refused_by_the_versions(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    before = content(older)
    with pytest.raises(UserError) as caught:
        tracking.open_store(older.parent)
    assert caught.value.key == "tracking.uri"
    for word in ("newer MLflow", VERSION, "fedcba987654", str(older)):
        assert word in caught.value.problem
    assert content(older) == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_text("no database at all " * 100)
    for opened in (tracking.open_store, tracking.find_store):
        with pytest.raises(UserError, match="is not a database") as caught:
            opened(tmp_path)
        assert caught.value.key == "tracking.uri"
