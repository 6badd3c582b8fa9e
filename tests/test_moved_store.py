"""A store whose folder was moved, copied, or mounted where nothing can be written."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import environment
from mlflow import MlflowClient
from open_points import start_point

from dlas import tracking


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def made(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of a sweep and its point, which has a bundle."""
    folder = tmp_path_factory.mktemp("made") / "ä b%41"
    folder.mkdir()
    shutil.copy(tables, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store = tracking.open_store(folder)
        sweep = tracking.start_sweep(store, "sweep", {})
        add_point(store, folder.parent / "files", "first", sweep.run_id)
        tracking.close(sweep, "FINISHED")
    return folder


def add_point(store: tracking.Store, files: Path, name: str, parent: str | None = None) -> str:
    files.mkdir(exist_ok=True)
    (files / "model.so").write_text(name)
    run = start_point(store, name, {}, parent)
    run.log_files(files, "bundle")
    tracking.close(run, "FINISHED")
    return run.run_id


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """The folder at another place, and nothing where it was."""
    there = tmp_path / "original"
    shutil.copytree(made, there)
    tracking.open_store(there)
    return there.rename(tmp_path / "moved")


def by_name(folder: Path) -> dict[str, str]:
    """The places of runs' files, by the names of the runs, as MLflow's own client tells them."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    return {run.info.run_name: run.info.artifact_uri for run in runs}


def fetched(folder: Path, name: str, destination: Path) -> str:
    """What the bundle of the run of that name holds."""
    store = tracking.open_store(folder)
    client = store.client
    (run,) = client.search_runs([store.experiment_id], f"attributes.run_name = '{name}'")
    return (tracking.fetch_bundle(store, run.info.run_id, destination) / "model.so").read_text()


def test_a_moved_store_finds_its_files_and_writes_beside_itself(
    moved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        store = tracking.open_store(moved)
    (told,) = (record.getMessage() for record in caplog.records)
    assert f"{moved / 'mlflow.db'} was moved or copied from {tmp_path / 'original'}: " in told
    assert "still there" not in told
    add_point(store, tmp_path / "files", "second")
    assert not (tmp_path / "original").exists()
    assert fetched(moved, "first", tmp_path / "fetched") == "first"
    client = MlflowClient(f"sqlite:///{moved / 'mlflow.db'}")
    for name, place in by_name(moved).items():
        assert place.startswith(f"{(moved / 'mlruns').as_uri()}/"), name
    (run,) = client.search_runs([store.experiment_id], "attributes.run_name = 'second'")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "bundle")] == ["bundle/model.so"]
    caplog.clear()
    tracking.open_store(moved)
    assert not caplog.records


def test_a_copy_writes_nothing_into_the_folder_of_its_original(moved: Path, tmp_path: Path) -> None:
    tracking.open_store(moved)
    copy = tmp_path / "copy"
    shutil.copytree(moved, copy)
    before = contents(moved)
    store = tracking.open_store(copy)
    run = add_point(store, tmp_path / "files", "second")
    assert fetched(copy, "first", tmp_path / "fetched") == "first"
    assert contents(moved) == before
    assert (copy / "mlruns" / run / "artifacts/bundle/model.so").read_text() == "second"
    shutil.rmtree(moved)
    assert fetched(copy, "first", tmp_path / "again") == "first"


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_database_that_was_moved_by_itself_reads_what_was_left_behind(
    moved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.open_store(moved)
    alone = tmp_path / "alone"
    alone.mkdir()
    (moved / "mlflow.db").rename(alone / "mlflow.db")
    with caplog.at_level(logging.WARNING):
        store = tracking.open_store(alone)
    assert "those of 1 runs are still there" in caplog.text
    assert fetched(alone, "first", tmp_path / "fetched") == "first"
    add_point(store, tmp_path / "files", "second")
    places = by_name(alone)
    assert places["first"].startswith(moved.as_uri())
    assert places["second"].startswith(alone.as_uri())
    (moved / "mlruns").rename(alone / "later")
    for run in (alone / "later").iterdir():
        run.rename(alone / "mlruns" / run.name)
    assert fetched(alone, "first", tmp_path / "again") == "first"
    assert by_name(alone)["first"].startswith(alone.as_uri())


def test_a_second_way_to_the_same_folder_changes_nothing(moved: Path, tmp_path: Path) -> None:
    tracking.open_store(moved)
    before = by_name(moved)
    (tmp_path / "link").symlink_to(moved)
    assert fetched(tmp_path / "link", "first", tmp_path / "fetched") == "first"
    assert by_name(moved) == before


def test_an_experiment_that_has_a_place_of_its_own_keeps_it(moved: Path, tmp_path: Path) -> None:
    client = tracking.open_store(moved).client
    client.create_experiment("another", artifact_location="s3://bucket/mlruns")
    client.create_experiment("numbered", artifact_location=(tmp_path / "elsewhere/mlruns/7").as_uri())
    shutil.move(moved, tmp_path / "again")
    client = tracking.open_store(tmp_path / "again").client
    assert client.get_experiment_by_name("another").artifact_location == "s3://bucket/mlruns"
    numbered = client.get_experiment_by_name("numbered").artifact_location
    assert numbered == (tmp_path / "elsewhere/mlruns/7").as_uri()


def test_a_copy_that_can_only_be_read_gives_its_bundles(moved: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    mount = f"mount --bind '{moved}' '{mounted}' && mount -o remount,ro,bind '{mounted}'"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a folder read-only")
    program = (
        "import sys; from pathlib import Path; from dlas import tracking; "
        "folder, there = map(Path, sys.argv[1:]); store = tracking.open_store(folder); "
        "(run,) = store.client.search_runs([store.experiment_id], \"attributes.run_name = 'first'\"); "
        "print((tracking.fetch_bundle(store, run.info.run_id, there) / 'model.so').read_text())"
    )
    line = f"{mount} && '{sys.executable}' -c \"$PROGRAM\" '{mounted}' '{tmp_path / 'fetched'}'"
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", line],
        capture_output=True,
        text=True,
        env=environment({"PROGRAM": program, "PYTHONPATH": os.pathsep.join(sys.path)}),
    )
    assert (ended.returncode, ended.stdout) == (0, "first\n"), ended.stderr
