"""Networks built for batches of several images: what they answer, and points that time them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command import dlas
from finished_points import fetched_bundles, runs_by_compression
from mlflow import MlflowClient
from safetensors.torch import load_file
from torch import nn
from user_models import residual

from dlas import config, datasets
from dlas.hardware.results import measurement
from dlas.hardware.targets import resolving, target_file
from dlas.hardware.timing import deployment
from dlas.systems.choices import lowering
from dlas.systems.compilers.tvm.building import build_library

pytestmark = pytest.mark.slow

BATCH = 3


class Block(nn.Module):
    """3x3 convolutions of stride 1, a depthwise one and a 1x1 one, half of their weights 0, beside a
    shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.Conv2d(16, 16, 1),
        )
        self.last = nn.Linear(16, 10)
        with torch.no_grad():
            for weight in (one for one in self.parameters() if one.dim() == 4):
                weight *= torch.rand_like(weight) > 0.5

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.first(images).relu()
        logits: torch.Tensor = self.last((features + self.body(features)).mean((2, 3)))
        return logits


@pytest.mark.parametrize(
    ("algorithm", "weights"),
    [("gemm", "dense"), ("winograd_f4", "dense"), ("direct", "csr"), ("spatial_pack", "channel_index")],
)
def test_every_layer_keeps_its_kernel_and_the_outputs_are_those_of_pytorch(
    algorithm: str, weights: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, host = Block().eval(), resolving.resolve(config.Target("host"))
    shape = (16, 16)
    one = lowering.lower(network, (1, 3, *shape), algorithm, weights)
    several = lowering.enlarged(one, network, (BATCH, 3, *shape))
    assert [layer.algorithm for layer in several.layers] == [layer.algorithm for layer in one.layers]
    assert {layer.workload.batch for layer in several.layers} == {BATCH}
    build_library(several, {}, host.code, None, 3, tmp_path / "model.so")
    images = np.random.default_rng(0).standard_normal((4, 3, *shape), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    answers = deployment.run(tmp_path / "model.so", images, host, BATCH)
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


def test_points_time_their_batches_and_are_redeployed_and_rebuilt_with_them(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "residual.yaml").write_text(
        "name: residual\nfactory: user_models.residual\n"
    )
    artifacts = f"artifacts={tmp_path / 'artifacts'}"
    ended = dlas(
        *("run", "--config-dir", str(tmp_path / "conf"), "-m", "model=residual", "compression=none,int8"),
        *("train.epochs=2", "algo=direct", "tuner=none", "timing=quick", "timing.runs=10"),
        *(f"timing.batch_sizes=[1,{BATCH}]", artifacts),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    client = MlflowClient(f"sqlite:///{tmp_path / 'artifacts' / 'mlflow.db'}")
    runs = runs_by_compression(client)
    (tmp_path / "fetched").mkdir()
    bundles = fetched_bundles(client, runs, tmp_path / "fetched")
    for name, run in runs.items():
        metrics, larger = run.data.metrics, measurement.read(bundles[name].timing).batches[1]
        assert larger.batch == BATCH
        assert metrics[f"latency_b{BATCH}.median_ms"] == pytest.approx(larger.median_ms)
        images_per_s = BATCH * 1000 / metrics[f"latency_b{BATCH}.median_ms"]
        assert metrics[f"throughput_b{BATCH}.images_per_s"] == pytest.approx(images_per_s)
        assert metrics["throughput.images_per_s"] == pytest.approx(1000 / metrics["latency.median_ms"])

    digits = datasets.load(config.Dataset("digits", "dlas.datasets.digits"))
    images = digits.normalized(digits.test_images)[:7]
    bundle, network = bundles["none"], residual(10).eval()
    network.load_state_dict(load_file(bundle.model / "model.safetensors"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    answers = deployment.run(bundle.library_of(BATCH), images, target_file.read(bundle.target), BATCH)
    np.testing.assert_allclose(answers, expected, rtol=1e-3, atol=1e-3)

    for more in ([], ["rebuild=true"]):
        again = dlas("redeploy", f"run={runs['int8'].info.run_id}", artifacts, *more)
        assert again.returncode in (0, 4), again.stdout + again.stderr
        assert f"16 outputs of batches of {BATCH} match the reference" in again.stdout
        assert re.search(rf"^batch +{BATCH}\nthen +\d", again.stdout, re.MULTILINE)
    experiment = client.get_experiment_by_name("dlas").experiment_id
    for logged in client.search_runs([experiment], "tags.`dlas.kind` = 'redeploy'"):
        assert logged.data.metrics[f"redeploy_b{BATCH}.ratio"] > 0
        assert f"batch {BATCH}: " in logged.data.tags["dlas.verdict"]
