"""Points of compilers with kernels of their own, from the command to their redeployment."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import REPOSITORY, dlas, environment
from mlflow import MlflowClient
from mlflow.entities import Run

from dlas import bundle, config
from dlas.bundle import Bundle
from dlas.hardware.targets import resolving, target_file
from dlas.plugins import compilers

pytestmark = pytest.mark.slow

NAMES = ("onnxruntime", "openvino")
"""Compilers whose points are made here; that PyTorch's answer right is seen in test_compilers."""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after a sweep over compilers and algorithms, of a pruned network."""
    folder = tmp_path_factory.mktemp("compilers")
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "residual.yaml").write_text(
        "name: residual\nfactory: user_models.residual\n"
    )
    ended = dlas(
        *("run", "--config-dir", str(folder / "conf"), "-m", "model=residual", "compression=weight_pruning"),
        *(f"compiler=tvm,{','.join(NAMES)}", "algo=direct,gemm", "tuner=none", "train.epochs=1"),
        *("timing=quick", "timing.batch_sizes=[1,4]", f"artifacts={folder / 'artifacts'}"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    combinations, points = 2 + 2 * len(NAMES), 2 + len(NAMES)
    assert f"{combinations} combinations are {points} points" in ended.stderr
    assert f"algo=direct, tuner=none, algo=gemm: nothing to {NAMES[0]}" in ended.stderr
    assert f"[{points}/{points}]" in ended.stderr
    return folder / "artifacts"


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> dict[str, Run]:
    """The finished points by compiler and algorithm."""
    found = client.search_runs(["1"], "tags.`dlas.kind` = 'point' and status = 'FINISHED'")
    return {f"{run.data.params['compiler.name']} {run.data.params['algo.name']}": run for run in found}


def test_each_compiler_with_its_own_kernels_has_one_point(runs: dict[str, Run]) -> None:
    assert runs.keys() == {"tvm direct", "tvm gemm", *(f"{name} own" for name in NAMES)}
    for name in NAMES:
        run = runs[f"{name} own"]
        assert {run.data.tags[f"dlas.{group}"] for group in ("algo", "format", "tuner")} == {"own"}
        assert run.data.metrics["accuracy.deployed"] == runs["tvm direct"].data.metrics["accuracy.deployed"]
        assert run.data.metrics["latency.median_ms"] > 0
        assert run.data.metrics["speedup.expected"] == 1, "its kernels multiply zeros, too"
        assert run.data.metrics["params.remaining"] < run.data.metrics["params.dense"]
        assert "tuning.trials" not in run.data.metrics


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_tells_the_runtime_and_its_settings(name: str, bundles: dict[str, Bundle]) -> None:
    made = bundles[f"{name} own"]
    runtime = target_file.runtime(made.target)
    assert runtime is not None
    assert (runtime.compiler, runtime.versions) == (name, dict(compilers.versions(name)))
    threads = target_file.read(made.target).placement.threads
    assert str(threads) in runtime.settings.values()
    assert all(any(folder.iterdir()) for folder in made.libraries(name, (1, 4)).values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rebuild", ["false", "true"])
def test_it_is_redeployed_and_rebuilt(
    name: str, rebuild: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    made, told = bundles[f"{name} own"], tmp_path / "told.json"
    ended = dlas("redeploy", f"bundle={made.root}", f"rebuild={rebuild}", f"json={told}")
    assert ended.returncode in (0, 3, 4), ended.stdout + ended.stderr
    assert "outputs of batches of 4 match the reference" in ended.stdout
    assert ("the compiler wrote its files again" in ended.stdout) == (rebuild == "true")
    (point,) = json.loads(told.read_text())["points"]
    for each in point["batches"]:
        files = [file.stat().st_size for file in made.network_of(each["batch"]).iterdir()]
        assert each["library_bytes"] == {"then": sum(files), "now": sum(files)}
    assert len(re.findall(r"^files +\S+ .B then, \S+ .B now", ended.stdout, re.MULTILINE)) == 2


def resealed(made: Bundle, folder: Path) -> Bundle:
    """A copy of the bundle, to be changed and sealed anew."""
    shutil.copytree(made.root, folder)
    return Bundle(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_corrupt_file_is_one_message(name: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    made = resealed(bundles[f"{name} own"], tmp_path / "bundle")
    for file in made.network_of(1).iterdir():
        file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))
    bundle.seal(made.root, point="ab12", stages={})
    ended = dlas("redeploy", f"bundle={made.root}")
    assert ended.returncode == 1
    assert "the library could not be run" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_board_of_another_architecture_takes_the_files_and_other_yardsticks(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    made = resealed(bundles["onnxruntime own"], tmp_path / "bundle")
    arm = resolving.resolve(config.Target("hikey970", "aarch64-linux-gnu", "cortex-a72", 4))
    target_file.write(arm, made.target, target_file.runtime(made.target))
    bundle.seal(made.root, point="ab12", stages={})
    ended = dlas("redeploy", f"bundle={made.root}")
    assert ended.returncode == 1
    assert re.search("the yardsticks .* don't run on this machine: it is aarch64 code", ended.stderr)
    assert "rebuild=true" in ended.stderr
    assert "the files of onnxruntime are for every CPU and stay as they are" in ended.stderr


def test_another_version_of_the_runtime_is_told(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    made = resealed(bundles["onnxruntime own"], tmp_path / "bundle")
    values = json.loads(made.timing.read_text())
    values["environment"]["onnxruntime"] = "1.2.3"
    made.timing.write_text(json.dumps(values))
    bundle.seal(made.root, point="ab12", stages={})
    ended = dlas("redeploy", f"bundle={made.root}")
    assert "differs    onnxruntime: 1.2.3 then" in ended.stdout


def test_an_outside_harness_is_told_beside_their_ratio(artifacts: Path, runs: dict[str, Run]) -> None:
    points = ",".join(runs[name].info.run_id for name in ("tvm direct", *(f"{name} own" for name in NAMES)))
    outside = [sys.executable, str(REPOSITORY / "benchmarks" / "outside.py"), f"run={points}"]
    few = ("processes=4", "runs=3", "timing=quick")
    ended = subprocess.run(
        [*outside, *few, f"artifacts={artifacts}"], env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in NAMES:
        told = rf"^residual +tvm / {name}(?: +\d\S* +\d\S* to \d\S*){{2}} +(yes|no)$"
        assert re.search(told, ended.stdout, re.MULTILINE), ended.stdout


def test_the_report_and_show_take_them(artifacts: Path, runs: dict[str, Run]) -> None:
    sweep = runs["tvm direct"].data.tags["mlflow.parentRunId"]
    told = dlas("report", f"sweep={sweep}", f"artifacts={artifacts}", f"out={artifacts / 'report'}")
    assert told.returncode == 0, told.stderr
    shown = dlas("show", f"run={runs['onnxruntime own'].info.run_id}", f"artifacts={artifacts}")
    assert "onnxruntime" in shown.stdout


def test_what_a_compiler_cannot_take_fails_its_points_alone(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "unusual.yaml").write_text("name: unusual\nfactory: user_models.unusual\n")
    store = f"sqlite:///{tmp_path / 'artifacts' / 'mlflow.db'}"
    reason = r"'aten::erfinv' to ONNX .*: aten\.erfinv in the layer bent \(.*user_models\.py:\d+\)"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        own = ("--config-dir", str(tmp_path / "conf"), *arguments, "model=unusual", "compression=none")
        return dlas("run", *own, "train.epochs=0", "timing=quick", f"artifacts={tmp_path / 'artifacts'}")

    single = run("compiler=onnxruntime")
    assert single.returncode == 2
    assert re.search(f"^compiler: .*{reason}$", single.stderr, re.MULTILINE)
    assert not (tmp_path / "artifacts" / "mlflow.db").exists()

    plan = run("--plan", "-m", "compiler=onnxruntime,torch")
    assert plan.returncode == 0, plan.stderr
    assert "1 of 2 points to be made" in plan.stdout
    assert re.search(r"^1/2 +compiler=onnxruntime +- +fails +-$", plan.stdout, re.MULTILINE)
    assert re.search(f"fails when it starts.*: 1/2 +compiler: .*{reason}$", plan.stdout, re.MULTILINE)

    sweep = run("-m", "compiler=onnxruntime,torch")
    assert sweep.returncode == 1, sweep.stderr
    warned = sweep.stderr.partition("[1/2]")[0]
    assert re.search(f"1 point of 'unusual' by onnxruntime will fail, .*{reason}$", warned, re.MULTILINE)
    assert "Traceback" not in sweep.stderr
    points = MlflowClient(store).search_runs(["1"], "tags.`dlas.kind` = 'point'")
    assert {point.data.params["compiler.name"]: point.info.status for point in points} == {
        "onnxruntime": "FAILED",
        "torch": "FINISHED",
    }
    (failed,) = (point for point in points if point.info.status == "FAILED")
    assert re.search(reason, failed.data.tags["dlas.error"])
    assert re.search("onnxruntime.*FAILED", sweep.stdout)
