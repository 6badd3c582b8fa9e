from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from mlflow import MlflowClient
from open_points import start_point

from dlas import tracking
from dlas.errors import UserError


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def store(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> tracking.Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.open_store(artifacts)


@pytest.fixture
def mlflow(artifacts: Path) -> Iterator[MlflowClient]:
    """MLflow's own view of the store."""
    return MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")


def test_a_point_lies_under_its_sweep_with_all_that_was_logged(
    store: tracking.Store, mlflow: MlflowClient, tmp_path: Path, artifacts: Path
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "model.so").write_bytes(b"\x7fELF")
    params = {f"layer.{index}": "x" * 7000 if index == 0 else str(index) for index in range(250)}
    metrics = {f"metric.{index}": index / 3 for index in range(1200)}

    sweep = tracking.start_sweep(store, "sweep of two", {"dlas.overrides": "a=1,2"})
    run = start_point(store, "a=1", {"dlas.point": "abc"}, sweep.run_id)
    run.log(params=params, metrics=metrics, tags={"dlas.overrides": "a=1"})
    run.log_files(tmp_path, "bundle")
    tracking.close(run, "FINISHED")
    tracking.close(sweep, "FINISHED")
    tracking.close(sweep, "FAILED")

    seen = mlflow.get_run(run.run_id)
    assert seen.info.status == "FINISHED"
    assert seen.info.run_name == "a=1"
    assert seen.data.tags["mlflow.parentRunId"] == sweep.run_id
    assert seen.data.tags["dlas.point"] == "abc"
    assert seen.data.params.keys() == params.keys()
    assert seen.data.params["layer.249"] == "249"
    assert seen.data.metrics == pytest.approx(metrics)
    assert [file.path for file in mlflow.list_artifacts(run.run_id, "bundle/library")] == [
        "bundle/library/model.so"
    ]
    assert Path(seen.info.artifact_uri.removeprefix("file://")).is_relative_to(artifacts / "mlruns")
    assert mlflow.get_run(sweep.run_id).info.status == "FINISHED"

    (listed,) = tracking.points(store, sweep.run_id)
    assert (listed.run_id, listed.status, listed.metrics["metric.3"]) == (run.run_id, "FINISHED", 1.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "custom_model_development"),
        ({"mlflow.experimentKind": "genai_development_inferred"}, "custom_model_development"),
        ({"mlflow.experimentKind": "genai_development"}, "genai_development"),
    ],
)
def test_an_experiment_is_of_the_kind_model_training_unless_a_person_chose_another(
    artifacts: Path, store: tracking.Store, mlflow: MlflowClient, before: dict[str, str], after: str
) -> None:
    kind = "mlflow.experimentKind"
    assert mlflow.get_experiment(store.experiment_id).tags[kind] == "custom_model_development"
    name = f"experiment with {before}"
    earlier = mlflow.create_experiment(name, tags=before)
    read = tracking.existing_store(artifacts, experiment=name)
    assert mlflow.get_experiment(earlier).tags.get(kind) == before.get(kind), "reading changes nothing"
    start_point(read, "begun", {})
    assert mlflow.get_experiment(earlier).tags[kind] == after


def test_a_bundle_comes_back_byte_for_byte(store: tracking.Store, tmp_path: Path) -> None:
    content = bytes(range(256))
    (tmp_path / "made" / "model").mkdir(parents=True)
    (tmp_path / "made" / "model" / "weights").write_bytes(content)
    run = start_point(store, "kept", {})
    run.log_files(tmp_path / "made", "bundle")
    folder = tracking.fetch_bundle(store, run.run_id, tmp_path / "fetched")
    assert (folder / "model" / "weights").read_bytes() == content


def test_what_is_not_there_is_said_by_its_id(store: tracking.Store, tmp_path: Path) -> None:
    for run_id in ("0" * 32, "../../etc"):
        with pytest.raises(UserError, match="there is no run") as caught:
            tracking.fetch_bundle(store, run_id, tmp_path)
        assert caught.value.key == "run"
    empty = start_point(store, "empty", {})
    with pytest.raises(UserError, match="has no bundle"):
        tracking.fetch_bundle(store, empty.run_id, tmp_path)


def test_the_store_is_the_config_s_then_the_environment_s_then_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from.environment")
    assert tracking.store_uri(tmp_path, "http://from.config") == "http://from.config"
    assert tracking.store_uri(tmp_path, None) == "http://from.environment"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking.store_uri(tmp_path, None) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("uri", ["ftp://nowhere/mlflow", "./mlruns", "sqlite:////proc/nowhere/mlflow.db"])
def test_a_store_that_cannot_be_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError) as caught:
        tracking.open_store(tmp_path, uri)
    assert caught.value.key == "tracking.uri"
    assert uri in caught.value.problem


def test_a_deleted_experiment_is_refused(
    store: tracking.Store, mlflow: MlflowClient, artifacts: Path
) -> None:
    doomed = tracking.open_store(artifacts, experiment="doomed")
    mlflow.delete_experiment(doomed.experiment_id)
    with pytest.raises(UserError, match="was deleted") as caught:
        tracking.open_store(artifacts, experiment="doomed")
    assert caught.value.key == "tracking.experiment"


def start_together(artifacts: Path, start: Barrier) -> None:
    start.wait()
    run = start_point(tracking.open_store(artifacts), "one", {})
    run.log(metrics={"one": 1.0})
    tracking.close(run, "FINISHED")


def test_eight_processes_may_meet_a_fresh_store(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mlflow", "mlflow.store.tracking.sqlalchemy_store"])
    start = processes.Barrier(8)
    eight = [processes.Process(target=start_together, args=(tmp_path, start)) for _ in range(8)]
    for process in eight:
        process.start()
    for process in eight:
        process.join()
        assert process.exitcode == 0
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dlas")
    assert experiment.artifact_location == (tmp_path / "mlruns").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.status, run.data.metrics) for run in runs] == [("FINISHED", {"one": 1.0})] * 8


KILLED_IN_A_WRITE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE runs SET status = 'FAILED', name = hex(randomblob(100000))")
os.kill(os.getpid(), signal.SIGKILL)
"""
"""Writes more than SQLite keeps in memory: pages of it lie in the database as the process is killed."""


@pytest.mark.parametrize("opened", [tracking.open_store, tracking.find_store])
def test_a_database_whose_writer_was_killed_is_opened_as_it_was_before(
    opened: Callable[[Path], tracking.Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kept = start_point(tracking.open_store(tmp_path), "a=1", {})
    database = tmp_path / "mlflow.db"
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_A_WRITE, database])
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "mlflow.db-journal").stat().st_size > 0
    found = tracking.fetch(opened(tmp_path), kept.run_id)
    assert (found.name, found.status) == ("a=1", "RUNNING")


def test_a_database_that_was_made_ahead_is_a_store_and_one_that_nobody_takes_is_gone(tmp_path: Path) -> None:
    with tracking.made_ahead(tmp_path / "taken") as make:
        assert make is not None
        store = tracking.join_store(tmp_path / "taken", make=make)
    run = start_point(store, "a=1", {})
    found = MlflowClient(f"sqlite:///{tmp_path / 'taken' / 'mlflow.db'}").get_run(run.run_id)
    assert found.info.run_name == "a=1"

    with tracking.made_ahead(tmp_path / "taken") as make:
        assert make is None, "it is there"
    threads = threading.active_count()
    with tracking.made_ahead(tmp_path / "left"):
        assert not (tmp_path / "left" / "mlflow.db").exists()
    while threading.active_count() > threads:
        time.sleep(0.01)
    assert [path.name for path in (tmp_path / "left").rglob("*")] == ["unfinished"]
