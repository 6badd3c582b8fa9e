"""A run and a redeployment on a GPU that is emulated: TVM's own CUDA runtime above a driver that runs the
generated CUDA C++ on the CPU, barriers and shuffles included. Of NVIDIA's there is nothing in it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest
from command import REPOSITORY, TESTS, dlas, environment
from mlflow import MlflowClient
from mlflow.entities import Run

SOURCES = TESTS / "emulated_gpu"
COMPILER = shutil.which("c++")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="the emulated driver takes a C++ compiler"),
]


class Found(TypedDict):
    """What `dlas` is given for its processes to find the GPU."""

    env: dict[str, str]
    loaded: list[Path]


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("gpu")
    exported, libraries = f"-Wl,--version-script={SOURCES / 'runtime.map'}", []
    for source, name, options in (("driver", "libcuda.so.1", []), ("runtime", "libcudart.so.13", [exported])):
        libraries.append(folder / name)
        made = ["-o", str(libraries[-1]), f"-Wl,-soname,{name}", *options]
        command = [str(COMPILER), "-O2", "-shared", "-fPIC", str(SOURCES / f"{source}.cpp"), *made, "-ldl"]
        subprocess.run(command, check=True)
    path = f"{SOURCES}{os.pathsep}{os.environ['PATH']}"
    return {"env": {"LD_LIBRARY_PATH": str(folder), "PATH": path}, "loaded": libraries}


@pytest.fixture(scope="module")
def artifacts(gpu: Found, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with a point of the GPU and one of the CPU."""
    options, artifacts = tmp_path_factory.mktemp("options"), tmp_path_factory.mktemp("artifacts")
    (options / "model").mkdir()
    (options / "model" / "two_layers.yaml").write_text("name: two_layers\nfactory: user_models.two_layers\n")
    small = ("model=two_layers", "compression=none", "tuner=none", "train.epochs=1", "algo=gemm")
    timing = ("timing=quick", "timing.runs=5", "timing.cold=2", f"artifacts={artifacts}")
    ended = dlas("run", "--config-dir", str(options), "-m", *small, *timing, "target=cuda,host", **gpu)
    assert ended.returncode == 0, ended.stderr
    return artifacts


def run_of(artifacts: Path, target: str) -> tuple[Run, Path]:
    """The point's run and its bundle."""
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dlas").experiment_id
    chosen = f"tags.`dlas.kind` = 'point' and params.`target.name` = '{target}'"
    (run,) = client.search_runs([experiment], chosen)
    return run, Path(client.download_artifacts(run.info.run_id, "bundle"))


def test_a_point_is_made_on_the_gpu(artifacts: Path) -> None:
    """A library that does not answer as PyTorch does would have ended the run."""
    run, bundle = run_of(artifacts, "cuda")
    assert run.info.status == "FINISHED"
    timing = json.loads((bundle / "timing.json").read_text())
    assert timing["environment"]["gpu"] == "emulated"
    assert timing["summary"]["median_ms"] > 0
    assert len(timing["sessions"][0]["cold_ns"]) == 2
    with (bundle / "layers.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["algorithm"] for row in rows].count("gemm") == 3
    assert all(float(row["time_ms"]) > 0 for row in rows)
    assert json.loads((bundle / "library" / "target.json").read_text())["code"]["arch"] == "sm_87"


def test_it_is_redeployed_on_the_gpu_and_refused_without_one(artifacts: Path, gpu: Found) -> None:
    run, _ = run_of(artifacts, "cuda")
    where = (f"run={run.info.run_id}", f"artifacts={artifacts}")
    ended = dlas("redeploy", *where, **gpu)
    assert ended.returncode in (0, 3, 4), ended.stderr
    assert "outputs match the reference" in ended.stdout
    without = dlas("redeploy", *where, env={"LD_LIBRARY_PATH": ""})
    assert without.returncode == 1
    assert "sm_87" in without.stderr


@pytest.mark.exhaustive
def test_the_check_of_a_gpu_makes_its_points(gpu: Found, tmp_path: Path) -> None:
    """As far as the emulated driver goes: it has no float16, and is no matter of time."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "two_layers.yaml").write_text("name: two_layers\nfactory: user_models.two_layers\n")
    check = [sys.executable, str(REPOSITORY / "benchmarks" / "gpu" / "check.py"), "--networks"]
    smaller = ["model=two_layers", "compression=none", "timing.runs=5", "timing.warmup=2"]
    ended = subprocess.run(
        [*check, "--", "--config-dir", str(tmp_path), *smaller],
        env=environment(gpu["env"]),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("GPU of sm_87\n")
    assert ended.stdout.count("FINISHED") == 2
    assert "right      all that ran answers as PyTorch does" in ended.stdout


def test_a_point_of_the_cpu_is_rebuilt_for_the_gpu(artifacts: Path, gpu: Found) -> None:
    run, _ = run_of(artifacts, "host")
    where = (f"run={run.info.run_id}", f"artifacts={artifacts}", "target=cuda")
    refused = dlas("redeploy", *where, **gpu)
    assert refused.returncode == 1
    assert "rebuild=true" in refused.stderr
    ended = dlas("redeploy", *where, "rebuild=true", **gpu)
    assert ended.returncode == 4, ended.stderr
    assert "differs    gpu: None then, emulated now" in ended.stdout
