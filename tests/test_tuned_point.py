"""A pruned and tuned point from the command to its rebuilt library: nothing in between is a stand-in."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from command import dlas
from mlflow import MlflowClient
from safetensors.torch import load_file
from torch import nn
from user_options import own_model

from dlas.bundle import Bundle, verify
from dlas.hardware.targets import target_file
from dlas.models import checkpoint
from dlas.systems.choices.scheduling import kernel_tasks
from dlas.systems.program import program
from dlas.systems.tuners.ansor import tuner as ansor

pytestmark = pytest.mark.slow

TRIALS = 8
METRICS = {
    *(f"accuracy.{name}" for name in ("dense", "compressed", "deployed")),
    *(f"{what}.{name}" for what in ("params", "macs") for name in ("dense", "remaining")),
    *(f"latency.{name}_ms" for name in ("median", "ci_low", "ci_high", "first", "p90")),
    *("speedup.expected", "library.bytes", "tuning.trials", "tuning.seconds"),
}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after one point: two layers, half of their channels pruned, tuned by Ansor."""
    folder = tmp_path_factory.mktemp("point")
    ended = dlas(
        *("run", *own_model(folder, "two_layers"), "train.epochs=4"),
        *(f"tuner.trials={TRIALS}", "timing=quick", "timing.runs=20", f"artifacts={folder / 'artifacts'}"),
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "artifacts"


@pytest.fixture(scope="module")
def run_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("dlas").experiment_id
    (run,) = client.search_runs([experiment], "tags.`dlas.kind` = 'point'")
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def bundle(client: MlflowClient, run_id: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    fetched = client.download_artifacts(run_id, "bundle", str(tmp_path_factory.mktemp("fetched")))
    return verify(Path(fetched))


def test_the_run_has_its_metrics(client: MlflowClient, run_id: str) -> None:
    found = client.get_run(run_id).data.metrics
    assert found.keys() >= METRICS
    assert found["macs.dense"] / found["macs.remaining"] == pytest.approx(found["speedup.expected"])
    assert found["params.remaining"] < found["params.dense"]
    assert found["tuning.trials"] == TRIALS
    assert found["latency.ci_low_ms"] <= found["latency.median_ms"] <= found["latency.ci_high_ms"]


def test_the_bundles_model_is_the_pruned_network(bundle: Bundle, artifacts: Path) -> None:
    from user_models import two_layers

    (trained,) = (artifacts / "stages" / "train").glob("*/model.safetensors")
    weights, dense = load_file(bundle.model / "model.safetensors"), load_file(trained)
    assert weights.keys() == dense.keys()
    assert sum(tensor.numel() for tensor in weights.values()) < sum(t.numel() for t in dense.values())
    network: nn.Module = two_layers(10)
    checkpoint.load_resized(network, bundle.model / "model.safetensors")
    images, expected = (np.load(bundle.reference / f"{name}.npy") for name in ("inputs", "outputs"))
    with torch.inference_mode():
        answers = network.eval()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)


def test_the_log_is_ansors_own(bundle: Bundle) -> None:
    records = [json.loads(line) for line in (bundle.tuning / "log.json").read_text().splitlines()]
    assert len(records) == TRIALS
    assert all(record["v"] == "v0.6" and record["i"] and record["r"] for record in records)


def test_the_log_alone_gives_the_same_kernels(bundle: Bundle, artifacts: Path, tmp_path: Path) -> None:
    (kept,) = (artifacts / "stages" / "kernels").glob("*/kernels.json")
    kernels = tvm.ir.load_json(kept.read_text())
    tasks = kernel_tasks(program.load(bundle.model))
    log = shutil.copy(bundle.tuning / "log.json", tmp_path)
    schedules = ansor.best_schedules(Path(log), [*tasks.values()], target_file.read(bundle.target).code)
    for variable, kernel in kernels.functions_items():
        name = variable.name_hint
        assert tvm.ir.save_json(schedules.found[tasks[name].key]) == tvm.ir.save_json(kernel)


def test_the_bundle_tells_what_each_layer_gained(bundle: Bundle) -> None:
    told = json.loads((bundle.tuning / "tuning.json").read_text())
    assert sum(layer["trials"] for layer in told["layers"]) == told["trials"] == TRIALS
    assert all(layer["best_ms"] <= layer["first_ms"] for layer in told["layers"] if layer["first_ms"])
    assert told["stopped"] == ""


def test_the_store_keeps_what_the_log_holds(bundle: Bundle, artifacts: Path) -> None:
    files = (artifacts / "tuning").glob("*/*/*.json")
    kept = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(kept) == sorted((bundle.tuning / "log.json").read_text().splitlines())


def test_the_table_says_which_schedule_each_layer_has(bundle: Bundle) -> None:
    with bundle.layers.open() as file:
        rows = list(csv.DictReader(file))
    convolutions = [row for row in rows if row["workload"]]
    assert [row["layer"] for row in convolutions] == ["0", "3", "8"]
    for row in convolutions:
        if row["schedule"] == "tuned":
            assert float(row["tuned_ms"]) < float(row["untuned_ms"])
            assert row["schedule_reason"].startswith("the tuned kernel is faster in the network")
        assert row["schedule_reason"]
        assert float(row["time_ms"]) > 0


def test_raw_samples_are_kept(bundle: Bundle) -> None:
    timing = json.loads(bundle.timing.read_text())
    assert [len(session["samples_ns"]) for session in timing["sessions"]] == [20]


@pytest.mark.parametrize("arguments", [[], ["rebuild=true"]], ids=["as it is", "rebuilt from its log"])
def test_the_point_is_redeployed(artifacts: Path, run_id: str, arguments: list[str]) -> None:
    ended = dlas("redeploy", f"run={run_id}", f"artifacts={artifacts}", *arguments)
    assert ended.returncode in (0, 4), ended.stderr
    assert re.search(r"ratio +\d", ended.stdout)


def test_the_same_command_takes_every_stage_from_the_store(artifacts: Path) -> None:
    conf = str(artifacts.parent / "conf")
    ended = dlas(
        *("run", "--config-dir", conf, "model=two_layers", "train.epochs=4"),
        *(f"tuner.trials={TRIALS}", "timing=quick", "timing.runs=20", f"artifacts={artifacts}"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "started" not in ended.stdout + ended.stderr
    assert (ended.stdout + ended.stderr).count("finished earlier") == 7
