"""Finished points as models of MLflow's: what loads them, their names, and the aliases of the best ones."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import good_bundle
import mlflow
import numpy as np
import pytest
from command import REPOSITORY, environment
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from open_points import start_point
from points import point

from dlas import bundle, config, tracking
from dlas.errors import UserError
from dlas.hardware.targets import resolving, target_file
from dlas.tracking import delivery
from dlas.tracking.delivery import Place
from dlas.tracking.outcome import aliases, models

LATENCY, BYTES, ACCURACY = "latency.median_ms", "bytes.format", "accuracy.deployed"
MODEL = {"mlflow.log-model.history": "[]"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    return good_bundle.make(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture
def store(tables: Path, tmp_path: Path) -> tracking.Store:
    shutil.copy(tables, tmp_path / "mlflow.db")
    return tracking.open_store(tmp_path)


def make(
    store: tracking.Store,
    numbers: tuple[float, float, float],
    params: Mapping[str, str] | None = None,
    status: str = "FINISHED",
    tags: Mapping[str, str] | None = None,
) -> tracking.Record:
    """A point of that latency, size and accuracy."""
    run = start_point(store, "point", {**MODEL, "dlas.cpu": "this one", **(tags or {})})
    names = {"model.name": "net", "dataset.name": "digits", "target.name": "host"}
    run.log(
        params={**names, **(params or {})},
        metrics=dict(zip((LATENCY, BYTES, ACCURACY), numbers, strict=True)),
    )
    tracking.close(run, status)
    return tracking.fetch(store, run.run_id)


def bearers(store: tracking.Store, name: str = "dlas-net") -> dict[str, str | None]:
    """The ids of the runs that bear the aliases, as MLflow's own client tells them."""
    client = MlflowClient(store.uri)
    return {
        alias: client.get_model_version_by_alias(name, alias).run_id
        for alias in client.get_registered_model(name).aliases
    }


def delivered(place: Place, tiny: bundle.Bundle) -> str:
    """A point whose bundle is the tiny one, in the store; the id of its run."""
    run = delivery.begin(place, place.open(), "tiny", {}, None)
    with delivery.delivering(run):
        shutil.copytree(tiny.root, run.bundle)
        run.note(params={"model.name": "net"}, metrics={LATENCY: 1.0, BYTES: 2.0, ACCURACY: 0.5})
    return run.own_id


def test_the_fastest_point_predicts_in_a_process_without_torch_wherever_its_store_lies(
    tiny: bundle.Bundle, tables: Path, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(tables, tmp_path / "a")
    run = delivered(Place(tmp_path / "a", None, "dlas"), tiny)
    store = tracking.open_store(tmp_path / "a")
    models.register(store, [tracking.fetch(store, run)])
    (tmp_path / "a").rename(tmp_path / "moved")
    moved = tracking.open_store(tmp_path / "moved")

    inputs, expected = (np.load(tiny.reference / f"{name}.npy") for name in ("inputs", "outputs"))
    np.save(tmp_path / "inputs.npy", np.concatenate([inputs, inputs[:1]]))
    given = moved.uri, "models:/dlas-net@fastest", tmp_path / "inputs.npy", tmp_path / "outputs.npy"
    command = [sys.executable, "-m", "mlflow_predictions", *given]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    found = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(found, np.concatenate([expected, expected[:1]]), rtol=1e-3, atol=1e-3)
    kept = MlflowClient(moved.uri).download_artifacts(run, "bundle", str(tmp_path))
    bundle.verify(Path(kept))


def test_a_bundle_on_disk_is_a_model_that_takes_what_it_was_made_for(
    tiny: bundle.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TVM_NUM_THREADS", "TVM_BIND_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    model = mlflow.pyfunc.load_model(str(tiny.root))
    images = np.load(tiny.reference / "inputs.npy")
    assert model.predict(images[:0]).shape == (0, 10)
    for wrong in (images[:, :, :4], images.astype(np.float64), images[0]):
        with pytest.raises(MlflowException, match="float32"):
            model.predict(wrong)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="the other machine is an aarch64")
def test_a_changed_bundle_or_one_for_another_machine_is_not_loaded(
    tiny: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(tiny.root, tmp_path / "bundle"))
    pi = resolving.resolve(config.Target("pi", "aarch64-linux-gnu", "cortex-a72", 4))
    target_file.write(pi, folder / "library" / "target.json")
    with pytest.raises(UserError, match="not as it was sealed"):
        mlflow.pyfunc.load_model(str(folder))
    bundle.seal(folder, point="ab12", stages={})
    with pytest.raises(UserError, match="it is aarch64 code"):
        mlflow.pyfunc.load_model(str(folder))
    (tmp_path / "signers").write_text("")
    monkeypatch.setenv("DLAS_SIGNERS", str(tmp_path / "signers"))
    with pytest.raises(UserError, match="sign"):
        mlflow.pyfunc.load_model(str(tiny.root))


def test_names_leave_out_what_is_ordinary_and_what_mlflow_refuses() -> None:
    named = {
        "dlas-net": {},
        "dlas-net-cifar10": {"dataset": "cifar10"},
        "dlas-net-cifar10-raspberrypi5": {"dataset": "cifar10", "target": "raspberrypi5"},
        "dlas-_script_net": {"model": "<script>net"},
        "dlas-mine.net_a_b": {"model": "mine.net/a:b"},
    }
    assert [aliases.name_of(point("a", choices=choices)) for choices in named.values()] == list(named)
    assert aliases.name_of(point("a", emulated=True)) == "dlas-net-emulated"


def test_an_alias_is_the_point_s_that_is_best_in_it_and_of_equals_the_faster_one_s() -> None:
    fast = point("fast", 1.0, format_bytes=9.0, accuracy_deployed=0.5)
    small = point("small", 3.0, format_bytes=1.0, accuracy_deployed=0.9)
    equal = point("equal", 2.0, format_bytes=1.0, accuracy_deployed=0.9)
    bare = point("bare")
    found = aliases.chosen([bare, fast, small, equal])
    assert {alias: one.run_id for alias, one in found.items()} == {
        "fastest": "fast",
        "smallest": "equal",
        "best": "equal",
    }
    assert aliases.chosen([bare]) == {}


def test_an_alias_moves_to_what_is_better_and_only_then(store: tracking.Store) -> None:
    first, second = make(store, (2.0, 4.0, 0.9)), make(store, (1.0, 8.0, 0.8))
    failed = make(store, (0.1, 0.1, 1.0), status="FAILED")
    models.register(store, [first, second, failed])
    before = {"fastest": second.run_id, "smallest": first.run_id, "best": first.run_id}
    assert bearers(store) == before
    models.register(store, [first, second])
    slow = make(store, (3.0, 9.0, 0.1))
    models.register(store, [slow])
    assert bearers(store) == before
    assert len(MlflowClient(store.uri).search_model_versions("name = 'dlas-net'")) == 3
    models.register(store, [quick := make(store, (0.5, 9.0, 0.1))])
    assert bearers(store) == {**before, "fastest": quick.run_id}


def test_data_sets_and_processors_do_not_compete(store: tracking.Store) -> None:
    one, other = make(store, (2.0, 4.0, 0.9)), make(store, (1.0, 1.0, 1.0), {"dataset.name": "cifar10"})
    models.register(store, [one, other])
    assert set(bearers(store).values()) == {one.run_id}
    assert set(bearers(store, "dlas-net-cifar10").values()) == {other.run_id}
    slower = make(store, (9.0, 9.0, 0.1), tags={"dlas.cpu": "another one"})
    models.register(store, [slower])
    assert set(bearers(store).values()) == {slower.run_id}


def test_a_deleted_run_loses_its_aliases_to_the_next_points(store: tracking.Store) -> None:
    gone = make(store, (1.0, 1.0, 1.0))
    models.register(store, [gone])
    store.client.delete_run(gone.run_id)
    models.register(store, [left := make(store, (2.0, 2.0, 0.5))])
    assert set(bearers(store).values()) == {left.run_id}


def test_a_store_without_a_registry_costs_a_note(
    store: tracking.Store, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    made = make(store, (1.0, 1.0, 1.0))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("DROP TABLE model_versions")
    with caplog.at_level(logging.WARNING):
        models.register(store, [made])
    assert "not in MLflow's registry of models" in caplog.text


def test_a_copied_point_is_a_model_of_the_other_store(
    tiny: bundle.Bundle, tables: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(tables, tmp_path / name)
    delivered(Place(tmp_path / "a", None, "dlas"), tiny)
    here, there = (tracking.open_store(tmp_path / name) for name in ("a", "b"))
    (copied,) = delivery.copy(here, lambda experiment: there, [], bundle.verify)
    assert bearers(there) == dict.fromkeys(("fastest", "smallest", "best"), copied.there)
