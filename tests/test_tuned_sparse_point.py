"""A pruned point in CSR whose kernels' parameters are tuned, from the command to its rebuilt library."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from command import dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

from dlas.bundle import Bundle, verify

pytestmark = pytest.mark.slow

TRIALS = 9


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    ended = dlas(
        *("run", *own_model(folder, "two_layers"), "train.epochs=4"),
        *("compression=weight_pruning", "compression.weight_pruning.finetune.epochs=1", "algo=direct"),
        *("format=csr", "tuner=metaschedule", f"tuner.trials={TRIALS}", "timing=quick", "timing.runs=20"),
        f"artifacts={folder / 'artifacts'}",
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "artifacts"


@pytest.fixture(scope="module")
def run(artifacts: Path) -> Run:
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dlas").experiment_id
    (found,) = client.search_runs([experiment], "tags.`dlas.kind` = 'point'")
    return found


@pytest.fixture(scope="module")
def bundle(artifacts: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    return verify(
        Path(client.download_artifacts(run.info.run_id, "bundle", str(tmp_path_factory.mktemp("fetched"))))
    )


def test_the_table_the_metrics_and_the_tags_tell_the_same(bundle: Bundle, run: Run) -> None:
    with bundle.layers.open() as file:
        rows = [row for row in csv.DictReader(file) if row["workload"]]
    assert {row["format"] for row in rows} == {"csr"}
    assert all("written in TensorIR" not in row["schedule_reason"] for row in rows)
    untuned = [row["layer"] for row in rows if row["schedule"] == "untuned"]
    assert run.data.metrics["tuning.layers_tuned"] == len(rows) - len(untuned)
    assert run.data.tags.get("dlas.untuned_layers", "") == ", ".join(untuned)


def test_the_bundle_has_the_log_of_the_parameters(bundle: Bundle, run: Run, artifacts: Path) -> None:
    lines = (bundle.tuning / "parameters.json").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert sum(not one["again"] for one in told) == run.data.metrics["tuning.trials"] == TRIALS
    assert all(one["parameters"] for one in told)
    files = (artifacts / "tuning").glob("*/*/*.json")
    kept = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(kept) == sorted(lines)
    assert not (bundle.tuning / "log.json").exists()


def test_the_point_is_rebuilt_from_its_log(artifacts: Path, run: Run) -> None:
    ended = dlas("redeploy", f"run={run.info.run_id}", f"artifacts={artifacts}", "rebuild=true")
    assert ended.returncode in (0, 4), ended.stderr
    assert re.search(r"ratio +\d", ended.stdout)
