"""What was measured stays on disk until its store has all of it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from command import dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from mortal_server import free_port, serving
from open_points import start_point
from user_options import own_model

from dlas import bundle, tracking
from dlas.errors import UserError
from dlas.tracking import delivery
from dlas.tracking.delivery import Place
from dlas.tracking.outcome import summary

FILES = {f"library/model-{number}.so": bytes([number]) * 5000 for number in range(6)}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store of the environment's, and one attempt to reach a server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def make_point(place: Place, name: str, parent: str | None = None, fingerprint: str = "f") -> delivery.Draft:
    """A point with some of everything, in the store if it can be reached."""
    tags = {"dlas.overrides": name, "dlas.fingerprint": fingerprint}
    run = delivery.begin(place, delivery.reach(place), name, tags, parent)
    with delivery.delivering(run):
        run.note(params={"model.name": "two_layers", "algo.name": "gemm"})
        for path, content in FILES.items():
            (run.bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (run.bundle / path).write_bytes(content)
        bundle.seal(run.bundle, point="ab12", stages={})
        run.output.write_text("one\rtwo\nthree\n")
        run.note(metrics={"latency.median_ms": 1.5, "odd": float("nan")}, tags={"dlas.unsteady": "a little"})
    return run


def waiting(place: Place) -> list[str]:
    return [path.name for path in (place.artifacts / "unsent").glob("[!.]*")]


def require_whole(client: MlflowClient, run: Run, folder: Path) -> None:
    """All that `make_point` made is in the store, by MLflow's own client."""
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.name": "two_layers", "algo.name": "gemm"}
    assert run.data.metrics["latency.median_ms"] == 1.5
    assert run.data.metrics["odd"] != run.data.metrics["odd"]
    assert run.data.tags["dlas.unsteady"] == "a little"
    fetched = Path(client.download_artifacts(run.info.run_id, "", str(folder)))
    assert (fetched / "log.txt").read_text() == "two\nthree\n"
    sealed = bundle.verify(fetched / "bundle").root
    assert {name: (sealed / name).read_bytes() for name in FILES} == FILES


@pytest.fixture
def place(tables: Path, tmp_path: Path) -> Place:
    (tmp_path / "a").mkdir()
    shutil.copy(tables, tmp_path / "a")
    return Place(tmp_path / "a", None, "dlas")


def test_a_point_is_in_the_store_and_nothing_is_left_on_the_way(place: Place, tmp_path: Path) -> None:
    run = make_point(place, "one")
    client = MlflowClient(f"sqlite:///{tmp_path / 'a/mlflow.db'}")
    (tmp_path / "fetched").mkdir()
    require_whole(client, client.get_run(run.own_id), tmp_path / "fetched")
    assert waiting(place) == []
    assert not list((tmp_path / "a/unfinished").iterdir())


@pytest.mark.parametrize(
    ("exception", "status", "reason"),
    [
        (UserError("no room", key="artifacts"), "FAILED", "artifacts: no room"),
        (ZeroDivisionError(), "FAILED", "ZeroDivisionError"),
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(0), "KILLED", None),
    ],
)
def test_a_run_that_was_left_early_is_never_finished_and_has_no_bundle(
    place: Place, exception: BaseException, status: str, reason: str | None
) -> None:
    store = place.open()
    run = delivery.begin(place, store, "left", {}, None)

    def fail() -> None:
        run.bundle.mkdir()
        (run.bundle / "half").write_text("a bundle")
        run.output.write_text("what it said")
        raise exception

    with pytest.raises(type(exception)), delivery.delivering(run):
        fail()
    seen = store.client.get_run(run.own_id)
    assert (seen.info.status, seen.data.tags.get("dlas.error")) == (status, reason)
    assert [file.path for file in store.client.list_artifacts(run.own_id)] == ["log.txt"]
    assert waiting(place) == []


def test_a_redeploy_lies_under_the_original_and_is_no_point_of_the_sweep(place: Place) -> None:
    store = place.open()
    sweep = tracking.start_sweep(store, "sweep", {})
    point = start_point(store, "original", {}, sweep.run_id)
    tracking.close(point, "FINISHED")
    original = tracking.fetch(store, point.run_id)
    again = delivery.redeploy(place, store, original, "again", {"dlas.verdict": "same"})
    with delivery.delivering(again):
        (again.folder / "redeploy").mkdir()
        (again.folder / "redeploy" / "timing.json").write_text("{}")
        again.note(metrics={"redeploy.ratio": 1.01})
    seen = store.client.get_run(again.own_id)
    assert (seen.info.status, seen.data.metrics) == ("FINISHED", {"redeploy.ratio": 1.01})
    assert seen.data.tags["dlas.original"] == original.run_id
    assert seen.data.tags["mlflow.parentRunId"] == original.run_id
    assert [file.path for file in store.client.list_artifacts(again.own_id, "redeploy")] == [
        "redeploy/timing.json"
    ]
    under = {"dlas.kind": "redeploy", "dlas.original": original.run_id, "mlflow.parentRunId": sweep.run_id}
    store.client.create_run(store.experiment_id, tags=under)  # as earlier versions made them
    assert [run.run_id for run in tracking.points(store, sweep.run_id)] == [original.run_id]


def test_a_refused_upload_waits_and_a_next_start_sends_it(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.open()
    (tmp_path / "a/mlruns").write_text("no folder, so no file can be kept in it")
    with caplog.at_level(logging.ERROR):
        run = make_point(place, "one")
    assert f"it is kept in {tmp_path / 'a/unsent' / run.own_id}" in caplog.text
    assert f"python -m dlas.sync artifacts={tmp_path / 'a'}" in caplog.text
    waits = delivery.earlier(place, store, "f", "failed")
    assert waits is not None
    assert (waits.run_id, waits.status) == (run.own_id, "FINISHED")
    assert "FINISHED, not sent yet" in summary.table([waits])
    assert store.client.get_run(run.own_id).info.status == "RUNNING"
    (tmp_path / "fetched").mkdir()
    kept = delivery.fetch_bundle(place, store, run.own_id, tmp_path / "fetched")
    assert (kept / "library/model-1.so").read_bytes() == FILES["library/model-1.so"]

    delivery.send_all(place, store)
    assert waiting(place) != [], "it is refused again"
    (tmp_path / "a/mlruns").unlink()
    delivery.send_all(place, store)
    assert waiting(place) == []
    require_whole(store.client, store.client.get_run(run.own_id), tmp_path / "fetched")
    assert "not sent yet" not in summary.table([tracking.fetch(store, run.own_id)])


def test_what_was_damaged_while_it_waited_is_named_and_not_sent(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.open()
    (tmp_path / "a/mlruns").write_text("no folder")
    run = make_point(place, "one")
    (tmp_path / "a/mlruns").unlink()
    (tmp_path / "a/unsent" / run.own_id / "files/bundle/library/model-2.so").write_bytes(b"changed")
    with caplog.at_level(logging.ERROR):
        delivery.send_all(place, store)
    assert "bundle/library/model-2.so is not as it was written" in caplog.text
    assert waiting(place) == [run.own_id]
    assert store.client.get_run(run.own_id).info.status == "RUNNING"


def test_a_server_that_dies_in_an_upload_loses_nothing(tables: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(tables, served / "server.db")
    port = free_port()
    place = Place(tmp_path / "artifacts", f"http://127.0.0.1:{port}", "dlas")
    with serving(served, port, uploads=3):
        sweep = tracking.start_sweep(place.open(), "sweep", {})
        first = make_point(place, "first", sweep.run_id, "1")
    second = make_point(place, "second", sweep.run_id, "2")
    assert (first.run_id, second.run_id) == (first.own_id, None)
    delivery.end_sweep(place, sweep, "FINISHED")
    assert sorted(waiting(place)) == sorted([first.own_id, second.own_id, sweep.run_id])
    told = delivery.points(place, sweep.store, sweep.run_id)
    assert [run.name for run in told] == ["first", "second"]
    assert summary.table(told).count("FINISHED, not sent yet") == 2

    impatient = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    refused = dlas("sync", f"artifacts={place.artifacts}", env=impatient)
    assert refused.returncode == 1
    assert refused.stdout.count("waits ") == 3
    assert "Traceback" not in refused.stderr

    with serving(served, port) as address:
        client = MlflowClient(address)
        assert client.get_run(first.own_id).info.status == "RUNNING"
        sent = dlas("sync", f"artifacts={place.artifacts}")
        assert sent.returncode == 0, sent.stderr
        assert sent.stderr.count("is in the store now") == 3
        assert waiting(place) == []
        chosen = f"tags.`mlflow.parentRunId` = '{sweep.run_id}'"
        experiment = client.get_experiment_by_name("dlas").experiment_id
        runs = client.search_runs([experiment], chosen)
        assert {run.info.run_name for run in runs} == {"first", "second"}
        for run in runs:
            (tmp_path / run.info.run_id).mkdir()
            require_whole(client, run, tmp_path / run.info.run_id)
        assert client.get_run(sweep.run_id).info.status == "FINISHED"
        again = dlas("sync", f"artifacts={place.artifacts}")
        assert (again.returncode, again.stdout.split(" in ")[0]) == (0, "nothing waits")
        require_copies(address, sweep.run_id, tmp_path)


def require_copies(address: str, sweep: str, folder: Path) -> None:
    """A sweep is copied from the server to a database here, and from there to another one."""
    copied = dlas("sync", f"from={address}", f"to={folder / 'here'}", f"run={sweep}")
    assert copied.returncode == 0, copied.stdout + copied.stderr
    assert "3 runs copied" in copied.stdout
    client = MlflowClient(f"sqlite:///{folder / 'here/mlflow.db'}")
    (here,) = client.search_runs(
        [client.get_experiment_by_name("dlas").experiment_id], f"tags.`dlas.origin` = '{sweep}'"
    )
    points = tracking.points(tracking.open_store(folder / "here"), here.info.run_id)
    assert {point.name for point in points} == {"first", "second"}
    for point in points:
        (folder / point.run_id).mkdir()
        require_whole(client, client.get_run(point.run_id), folder / point.run_id)
    back = dlas("sync", f"from={folder / 'here'}", f"to={address}")
    assert (back.returncode, "3 runs there already" in back.stdout) == (0, True), back.stdout


def test_a_sweep_whose_files_are_refused_is_measured_and_sent_by_the_next_start(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "mlruns").write_text("no folder, so no file can be kept in it")
    typed = (*own_model(tmp_path, "two_layers"), "-m", "algo=gemm", "tuner=none", "timing=quick")
    given = (*typed, "compression=none", "train.epochs=0", f"artifacts={artifacts}")
    refused = dlas("run", *given)
    assert refused.returncode == 3, refused.stderr
    assert "FINISHED, not sent yet" in refused.stdout
    assert "python -m dlas.sync sends them" in refused.stdout
    assert f"this sends it: python -m dlas.sync artifacts={artifacts}" in refused.stderr
    (waits,) = waiting(Place(artifacts, None, "dlas"))
    still = dlas("run", *given)
    assert still.returncode == 3, "it waits, and is not made again"
    assert "[1/1]" not in still.stderr

    (artifacts / "mlruns").unlink()
    again = dlas("run", *given)
    assert again.returncode == 0, again.stderr
    assert "FINISHED earlier" in again.stdout
    assert waiting(Place(artifacts, None, "dlas")) == []
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    run = client.get_run(waits)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["latency.median_ms"] > 0
    bundle.verify(Path(client.download_artifacts(waits, "bundle", str(tmp_path))))
