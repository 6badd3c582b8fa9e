"""Networks cross-compiled for aarch64 and deployed to the virtual board, from the command to redeployment."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import boards
import numpy as np
import pytest
import tiny_library
import torch
import tvm
from command import dlas
from filelock import FileLock
from finished_points import fetched_bundles, runs_by_compression
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score
from test_target import elf_machine
from user_models import residual

from dlas import config
from dlas.bundle import Bundle
from dlas.errors import UserError
from dlas.hardware.targets import llvm, resolving, target_file
from dlas.hardware.timing import deployment
from dlas.hardware.timing.single_kernels import KernelPair, relative_errors
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.program.operands import arguments
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.task import definition
from dlas.systems.tuners.common.tuning_store import TuningStore

pytestmark = pytest.mark.slow

KEPT = config.default_artifacts() / "tests"
"""The board stays installed from one run of the tests to the next."""

RUNTIME = "onnxruntime"
"""Compiler whose runtime the board has, beside TVM's."""

NETWORKS = {"dense": "none", "int8": "int8", "sparse": "weight_pruning"}
"""What is deployed: its `compression`."""

OTHERS = tiny_library.images(4)
"""Images that no network was trained or tested on."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the virtual board listens."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("the virtual board is made from Debian's packages, and there is no apt-get and dpkg-deb")
    KEPT.mkdir(parents=True, exist_ok=True)
    number = boards.free_port()
    with FileLock(KEPT / "virtual_board.lock"):
        dlas("board", "stop", f"artifacts={KEPT}")
        started = dlas("board", "start", f"port={number}", f"runtimes={RUNTIME}", f"artifacts={KEPT}")
        if "could not be installed" in started.stderr or "Debian 12" in started.stderr:
            pytest.skip(started.stderr)
        assert started.returncode == 0, started.stderr
        yield number
        assert "is stopped" in dlas("board", "stop", f"artifacts={KEPT}").stdout


@pytest.fixture(scope="module")
def board(port: int) -> Target:
    declared = config.declared_target("aarch64_virtual")
    return resolving.resolve(replace(declared, rpc=replace(declared.rpc, port=port)))


@pytest.fixture(scope="module")
def artifacts(port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after the points of `NETWORKS`."""
    folder = tmp_path_factory.mktemp("virtual")
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "residual.yaml").write_text(
        "name: residual\nfactory: user_models.residual\n"
    )
    for choices in (["-m", "compression=none,int8"], ["compression=weight_pruning", "format=csr"]):
        of_tvm = ("algo=direct", "tuner=none", "target=aarch64_virtual")
        told = made(folder / "artifacts", port, *choices, *of_tvm)
        if "-m" in choices:
            assert len(re.findall(r"^.* emulated.* FINISHED ", told, re.MULTILINE)) == 2
    return folder / "artifacts"


def made(artifacts: Path, port: int, *choices: str) -> str:
    """What the command prints that makes points of the network of this module, by these choices."""
    ended = dlas(
        *("run", "--config-dir", str(artifacts.parent / "conf"), *choices, "model=residual"),
        *("train.epochs=2", "timing=quick", "timing.runs=10", f"target.rpc.port={port}"),
        f"artifacts={artifacts}",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def of_another_runtime(artifacts: Path, client: MlflowClient, port: int) -> dict[str, Run]:
    """The points of `RUNTIME` by their targets, in an experiment of their own."""
    targets = "target=host,aarch64_virtual"
    made(artifacts, port, "-m", targets, f"compiler={RUNTIME}", f"tracking.experiment={RUNTIME}")
    experiment = client.get_experiment_by_name(RUNTIME).experiment_id
    found = client.search_runs([experiment], "tags.`dlas.kind` = 'point' and status = 'FINISHED'")
    return {run.data.params["target.name"]: run for run in found}


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> dict[str, Run]:
    """The finished points by their compression."""
    return runs_by_compression(client)


@pytest.fixture(scope="module")
def answers(
    bundles: dict[str, Bundle], board: Target, digits: ImageDataset
) -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
    """What the library of a point, by its compression, answers on the board: to the test images, and to
    others. One session gives both: its start is most of its time there."""
    images = digits.normalized(digits.test_images)

    @cache
    def answered(steps: str) -> tuple[np.ndarray, np.ndarray]:
        both = np.concatenate([images, OTHERS])
        found = deployment.run(bundles[steps].library, both, board)
        return found[: len(images)], found[len(images) :]

    return answered


@pytest.mark.parametrize("steps", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_point_is_checked_there_and_marked_emulated(
    steps: str,
    runs: dict[str, Run],
    bundles: dict[str, Bundle],
    digits: ImageDataset,
    answers: Callable[[str], tuple[np.ndarray, np.ndarray]],
) -> None:
    bundle, run = bundles[steps], runs[steps]
    assert elf_machine(bundle.library) == 183
    timing = json.loads(bundle.timing.read_text())
    assert timing["emulated"] is True
    assert timing["environment"]["machine"] == "aarch64"
    assert run.data.tags["dlas.emulated"].startswith("QEMU")

    score = accuracy_score(digits.test_labels, answers(steps)[0].argmax(axis=1))
    assert run.data.metrics["accuracy.deployed"] == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_its_outputs_are_those_of_pytorch(
    name: str, bundles: dict[str, Bundle], answers: Callable[[str], tuple[np.ndarray, np.ndarray]]
) -> None:
    bundle = bundles[NETWORKS[name]]
    network = residual(10).eval()
    network.load_state_dict(load_file(bundle.model / "model.safetensors"))
    zeros = float((network.branch[6].weight == 0).float().mean())
    assert (zeros > 0.3) == (name == "sparse")
    with torch.inference_mode():
        expected = network(torch.from_numpy(OTHERS)).numpy()
    np.testing.assert_allclose(answers(NETWORKS[name])[1], expected, rtol=1e-3, atol=1e-3)


def test_a_point_is_redeployed_there_and_never_compared_with_real_times(
    runs: dict[str, Run], client: MlflowClient, artifacts: Path, board: Target
) -> None:
    run = runs["none"].info.run_id
    nowhere = dlas("redeploy", f"run={run}", f"artifacts={artifacts}")
    assert nowhere.returncode == 1
    assert "target=<name>" in nowhere.stderr
    there = ("target=aarch64_virtual", f"rpc.port={board.reach.port}")
    ended = dlas("redeploy", f"run={run}", f"artifacts={artifacts}", *there)
    assert ended.returncode in (0, 4), ended.stderr
    assert "16 outputs match the reference" in ended.stdout
    assert ended.stdout.count(", emulated") == 2
    assert re.search(r"^ratio +\d", ended.stdout, re.MULTILINE)
    experiment = client.get_experiment_by_name("dlas").experiment_id
    (again,) = client.search_runs([experiment], f"tags.`dlas.original` = '{run}'")
    assert again.data.tags["dlas.emulated"].startswith("QEMU")

    refused = dlas("redeploy", f"run={run}", f"artifacts={artifacts}", "target=host")
    assert refused.returncode == 1
    assert "it is aarch64 code, and host is" in refused.stderr
    assert "rebuild=true" in refused.stderr


def test_a_point_is_rebuilt_for_another_architecture(
    runs: dict[str, Run], artifacts: Path, client: MlflowClient
) -> None:
    run = runs["none"].info.run_id
    ended = dlas("redeploy", f"run={run}", f"artifacts={artifacts}", "target=host", "rebuild=true")
    assert ended.returncode == 4, ended.stderr
    assert "16 outputs match the reference" in ended.stdout
    assert "can't tell: emulated times say nothing about real ones" in ended.stdout
    assert re.search(r"^differs +machine: aarch64 then", ended.stdout, re.MULTILINE)
    experiment = client.get_experiment_by_name("dlas").experiment_id
    (again,) = client.search_runs([experiment], "tags.`dlas.rebuilt` = 'host'")
    assert "dlas.emulated" not in again.data.tags


def test_a_network_of_another_runtime_runs_there(board: Target, tmp_path: Path) -> None:
    library = tiny_library.onnx_matmul(tmp_path / "network")
    images = tiny_library.images(1)
    answers = deployment.run(library, images, board, runner=RUNTIME)
    np.testing.assert_allclose(answers, tiny_library.outputs(images), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="openvino, not installed on the board aarch64_virtual") as refusal:
        deployment.require_board(board, "openvino")
    assert "runtimes=openvino" in refusal.value.remedy


@pytest.mark.exhaustive
def test_a_point_of_another_runtime_is_checked_there(
    of_another_runtime: dict[str, Run], client: MlflowClient, tmp_path: Path
) -> None:
    here, there = of_another_runtime["host"], of_another_runtime["aarch64_virtual"]
    made_there = fetched_bundles(client, {"there": there}, tmp_path)["there"]
    timing, runtime = json.loads(made_there.timing.read_text()), target_file.runtime(made_there.target)
    assert runtime is not None
    assert runtime.versions[RUNTIME] == version(RUNTIME)
    assert timing["emulated"] is True
    assert timing["environment"]["machine"] == "aarch64"
    assert timing["environment"][RUNTIME] == version(RUNTIME)
    assert there.data.tags["dlas.emulated"].startswith("QEMU")
    assert there.data.metrics["accuracy.deployed"] == here.data.metrics["accuracy.deployed"] > 0.5
    assert there.data.metrics["memory.peak_bytes"] > 0


@pytest.mark.exhaustive
def test_a_point_of_another_runtime_is_redeployed_there(
    of_another_runtime: dict[str, Run], artifacts: Path, port: int
) -> None:
    there = (f"artifacts={artifacts}", "target=aarch64_virtual", f"rpc.port={port}")
    again = dlas("redeploy", f"run={of_another_runtime['aarch64_virtual'].info.run_id}", *there)
    assert again.returncode in (0, 4), again.stderr
    assert "16 outputs match the reference" in again.stdout
    made_here = f"run={of_another_runtime['host'].info.run_id}"
    refused = dlas("redeploy", made_here, *there)
    assert refused.returncode == 1
    assert "rebuild=true" in refused.stderr
    carried = dlas("redeploy", made_here, *there, "rebuild=true")
    assert carried.returncode == 4, carried.stderr
    assert "16 outputs match the reference" in carried.stdout
    assert re.search(r"^differs +machine: .* then, aarch64 now", carried.stdout, re.MULTILINE)


@pytest.mark.exhaustive
def test_a_runtime_that_the_board_lacks_is_told_before_anything_is_trained(port: int, tmp_path: Path) -> None:
    ended = dlas(
        *("run", "target=aarch64_virtual", f"target.rpc.port={port}"),
        *("compiler=openvino", "timing=quick", f"artifacts={tmp_path}"),
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert f"openvino, not installed on the board aarch64_virtual at 127.0.0.1:{port}" in ended.stderr
    assert not (tmp_path / "stages" / "train").exists()


def test_ansor_measures_its_candidates_there_and_the_fastest_is_right(board: Target, tmp_path: Path) -> None:
    task = TuningTask(ConvWorkload(1, 4, 8, 8, 8, (3, 3), bias=True), "direct")
    settings = ansor.Settings("ansor", ansor.__name__, trials=2, population=16, generations=1)
    log = tmp_path / "log.json"
    found = ansor.tune([task], board, settings, log, TuningStore(tmp_path / "store"))
    assert (found.trials, found.failed) == (2, 0)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert ["aarch64" in record["i"][0][1] for record in records] == [True] * 2

    functions = {
        "plain": definition(task),
        "tuned": ansor.best_schedules(log, [task], board.code).found[task.key],
    }
    module = tvm.IRModule(
        {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    )
    library = boards.exported(
        tvm.compile(module, llvm.tvm_target(board.code)), board, tmp_path / "kernels.so"
    )
    weight = np.random.default_rng(0).standard_normal(task.workload.weight_shape, np.float32)
    pair = KernelPair("plain", "tuned", arguments(task.workload, task.algorithm, weight))
    (error,) = relative_errors(library, [pair], board)
    assert error < 1e-5


def test_code_for_a_cpu_that_the_board_has_not_is_refused(board: Target, tmp_path: Path) -> None:
    newer = resolving.resolve(config.Target("pi5", "aarch64-linux-gnu", "cortex-a76", 2))
    newer = replace(newer, reach=board.reach, placement=board.placement)
    executable = tiny_library.compiled_matmul(llvm.tvm_target(newer.code))
    library = boards.exported(executable, newer, tmp_path / "matmul.so")
    with pytest.raises(UserError, match="dotprod") as refusal:
        deployment.run(library, tiny_library.images(1), newer)
    assert "cortex-a76" in str(refusal.value)


def test_a_crash_there_is_named_and_costs_nothing_else(board: Target, tmp_path: Path) -> None:
    crashing = tiny_library.calling(llvm.tvm_target(board.code), "abort")
    with pytest.raises(UserError, match="SIGABRT"):
        deployment.run(boards.exported(crashing, board, tmp_path / "abort.so"), tiny_library.images(1), board)
    working = tiny_library.compiled_matmul(llvm.tvm_target(board.code))
    images = tiny_library.images(2)
    answers = deployment.run(boards.exported(working, board, tmp_path / "matmul.so"), images, board)
    np.testing.assert_allclose(answers, tiny_library.outputs(images), rtol=1e-4, atol=1e-5)


def test_the_board_is_listed_and_not_started_twice(port: int) -> None:
    assert f"127.0.0.1:{port}" in dlas("board", "list", f"artifacts={KEPT}").stdout
    again = dlas("board", "start", f"port={boards.free_port()}", f"artifacts={KEPT}")
    assert again.returncode == 1
    assert f"is running, at 127.0.0.1:{port}" in again.stderr
