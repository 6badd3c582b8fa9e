"""Float16 and int8 points from the command to their redeployment: nothing in between is a stand-in."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command import dlas
from finished_points import fetched_bundles, runs_by_compression
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from torch import nn
from user_models import residual

from dlas.bundle import Bundle
from dlas.hardware.targets import target_file
from dlas.hardware.timing import deployment
from dlas.interfaces.images import ImageDataset

pytestmark = pytest.mark.slow

POINTS = ("float16", "int8", "weight_pruning+int8")
ACCURACIES = tuple(f"accuracy.{which}" for which in ("dense", "compressed", "deployed"))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after one sweep over what is done to a small network."""
    folder = tmp_path_factory.mktemp("compressed")
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "residual.yaml").write_text(
        "name: residual\nfactory: user_models.residual\n"
    )
    ended = dlas(
        *("run", "--config-dir", str(folder / "conf"), "-m", "model=residual"),
        "compression=float16,int8,[weight_pruning,int8]",
        *(
            "train.epochs=6",
            "train.learning_rate=0.1",
            "algo=direct",
            "tuner=none",
            "timing=quick",
            "timing.runs=20",
        ),
        f"artifacts={folder / 'artifacts'}",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "artifacts"


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> dict[str, Run]:
    """The finished points by their steps of compression."""
    return runs_by_compression(client)


def test_every_point_logs_its_three_accuracies(runs: dict[str, Run]) -> None:
    assert runs.keys() == set(POINTS)
    dense = {run.data.metrics["accuracy.dense"] for run in runs.values()}
    assert len(dense) == 1, "all of them start from the same network"
    assert dense.pop() > 0.8
    for steps, run in runs.items():
        assert run.data.tags["dlas.compression"] == steps
        before, after, deployed = (run.data.metrics[name] for name in ACCURACIES)
        images = load_digits().target.size / 5
        for accuracy in (before, after, deployed):
            assert accuracy * images == pytest.approx(round(accuracy * images), abs=0.5), steps
        assert after == pytest.approx(before, abs=0.03), steps
        assert deployed == pytest.approx(after, abs=0.01), steps


@pytest.mark.parametrize("steps", POINTS)
def test_the_accuracy_of_the_deployed_library_is_the_one_logged(
    steps: str, runs: dict[str, Run], bundles: dict[str, Bundle], digits: ImageDataset
) -> None:
    bundle = bundles[steps]
    images = digits.normalized(digits.test_images)
    answers = deployment.run(bundle.library, images, target_file.read(bundle.target))
    score = accuracy_score(digits.test_labels, answers.argmax(axis=1))
    assert runs[steps].data.metrics["accuracy.deployed"] == pytest.approx(score, abs=1e-12)


def test_the_float16_model_of_the_bundle_has_the_accuracy_logged(
    runs: dict[str, Run], bundles: dict[str, Bundle], digits: ImageDataset
) -> None:
    halves = load_file(bundles["float16"].model / "model.safetensors")
    assert {values.dtype for values in halves.values() if values.ndim > 0} == {np.dtype(np.float16)}
    network = residual(10)
    network.load_state_dict(
        {name.removeprefix("network."): torch.from_numpy(values) for name, values in halves.items()}
    )
    images = torch.from_numpy(digits.normalized(digits.test_images)).half()
    with torch.inference_mode():
        answers = network.half().eval()(images).float().numpy()
    score = accuracy_score(digits.test_labels, answers.argmax(axis=1))
    assert runs["float16"].data.metrics["accuracy.compressed"] == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(("steps", "bits"), [("float16", 16), ("int8", 8), ("weight_pruning+int8", 8)])
def test_weights_are_stored_in_few_bits(
    steps: str, bits: int, runs: dict[str, Run], bundles: dict[str, Bundle]
) -> None:
    weights = load_file(bundles[steps].model / "weights.safetensors")
    small = sum(values.size for values in weights.values() if values.dtype.itemsize * 8 == bits)
    layers = [layer for layer in residual(10).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert small >= sum(layer.weight.numel() for layer in layers)
    metrics = runs[steps].data.metrics
    assert metrics["speedup.expected"] == 32 / bits, "dense kernels multiply zeros"
    assert metrics.get("macs.int8") == (metrics["macs.dense"] if bits == 8 else None)
    assert not {"dlas.float_layers", "dlas.lost_signal"} & runs[steps].data.tags.keys()
    pruned = "weight_pruning" in steps
    assert (metrics["params.remaining"] < 0.5 * metrics["params.dense"]) == pruned


def test_layers_that_int8_leaves_without_their_signal_are_told(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "drowned.yaml").write_text("name: drowned\nfactory: user_models.drowned\n")
    ended = dlas(
        *("run", "--config-dir", str(tmp_path / "conf"), "model=drowned", "compression=int8"),
        *(
            "train.epochs=0",
            "algo=direct",
            "tuner=none",
            "timing=quick",
            f"artifacts={tmp_path / 'artifacts'}",
        ),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = r"compression\.int8: .* mixed \(.* dB\), last \("
    assert re.search(told, ended.stdout + ended.stderr), ended.stdout + ended.stderr
    store = MlflowClient(f"sqlite:///{tmp_path / 'artifacts' / 'mlflow.db'}")
    [run] = runs_by_compression(store).values()
    assert re.fullmatch(r"mixed \(.* dB\), last \(.* dB\)", run.data.tags["dlas.lost_signal"])
    [point] = fetched_bundles(store, {"int8": run}, tmp_path).values()
    with point.layers.open() as table:
        decibels = {row["layer"]: float(row["signal_db"]) for row in csv.DictReader(table) if row["workload"]}
    assert {name for name, ratio in decibels.items() if ratio < 10} == {"mixed", "last"}


@pytest.mark.parametrize("steps", POINTS)
def test_its_outputs_check_where_it_is_deployed_again(
    steps: str, artifacts: Path, runs: dict[str, Run], client: MlflowClient
) -> None:
    run = runs[steps].info.run_id
    ended = dlas("redeploy", f"run={run}", f"artifacts={artifacts}")
    assert ended.returncode in (0, 4), ended.stderr
    assert re.search(r"^checked +16 outputs match the reference", ended.stdout, re.MULTILINE)
    assert re.search(r"^ratio +\d", ended.stdout, re.MULTILINE)
    again = f"tags.`dlas.original` = '{run}' and attributes.status = 'FINISHED'"
    experiment = client.get_experiment_by_name("dlas").experiment_id
    assert len(client.search_runs([experiment], again)) == 1
