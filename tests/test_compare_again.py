"""Points that are timed again in turn: real points of a real sweep, and bundles that are refused."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import good_bundle
import numpy as np
import pytest
import scipy.stats
import tiny_library
from command import dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

from dlas import bundle, config, tracking
from dlas.bundle import Bundle
from dlas.hardware.results import measurement, reference
from dlas.hardware.targets import llvm, resolving, target_file
from dlas.hardware.timing import measuring
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target

SESSIONS, RUNS = 4, 10
PROTOCOL = ("again=true", "timing=quick", f"timing.sessions={SESSIONS}", f"timing.runs={RUNS}")
LIBRARY = "library/model.so"
SLEEPS_US = 50_000
"""Microseconds that a library sleeps in each run beside its work, which takes far less than a hundredth."""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after a sweep over algorithms and compilers."""
    folder = tmp_path_factory.mktemp("again")
    ended = dlas(
        *("run", *own_model(folder, "two_layers"), "-m", "compiler=tvm,onnxruntime"),
        *("algo=direct,gemm", "tuner=none", "train.epochs=1", "timing=quick"),
        f"artifacts={folder / 'artifacts'}",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "artifacts"


@pytest.fixture(scope="module")
def points(client: MlflowClient) -> dict[str, Run]:
    """By compiler and algorithm."""
    found = client.search_runs(["1"], "tags.`dlas.kind` = 'point'")
    return {f"{run.data.params['compiler.name']} {run.data.params['algo.name']}": run for run in found}


def ratios(first: dict, other: dict) -> np.ndarray:  # type: ignore[type-arg]
    """Of each session, the median over turns of the ratio of their fastest runs, by the files'
    samples."""
    fastest = [
        np.reshape(
            [one["samples_ns"] for one in file["sessions"]], (SESSIONS, file["turns"], RUNS // file["turns"])
        ).min(axis=2)
        for file in (first, other)
    ]
    return np.median(fastest[1] / fastest[0], axis=1)


def test_a_sweep_is_timed_in_turn_and_kept(
    artifacts: Path, client: MlflowClient, points: dict[str, Run], tmp_path: Path
) -> None:
    sweep = points["tvm direct"].data.tags["mlflow.parentRunId"]
    files = (f"csv={tmp_path / 'told.csv'}", f"json={tmp_path / 'told.json'}")
    ended = dlas("compare", f"run={sweep}", *PROTOCOL, *files, f"artifacts={artifacts}")
    assert ended.returncode == 0, ended.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    kept = client.get_run(told["logged"])
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["dlas.kind"] == "comparison"
    assert kept.data.tags["mlflow.parentRunId"] == sweep
    ids = kept.data.tags["dlas.compared"].split()
    assert sorted(ids) == sorted(run.info.run_id for run in points.values())
    assert all(name.startswith("comparison.") for name in kept.data.metrics)
    fetched = Path(client.download_artifacts(kept.info.run_id, "", str(tmp_path)))
    samples = [json.loads((fetched / "comparison" / f"{one}.json").read_text()) for one in ids]
    assert all(len(one["samples_ns"]) == RUNS for file in samples for one in file["sessions"])
    by_onnxruntime = points["onnxruntime own"].info.run_id
    runtimes = {one: "onnxruntime" in file["environment"] for one, file in zip(ids, samples, strict=True)}
    assert runtimes == {one: one == by_onnxruntime for one in ids}
    with (tmp_path / "told.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ids
    assert rows[0]["verdict"] == "reference"
    for place in (1, 2):
        logs = np.log(ratios(samples[0], samples[place]))
        expected = np.exp(logs.mean())
        both = scipy.stats.ttest_1samp(logs, 0).confidence_interval(1 - 0.05 / 2)
        metrics = kept.data.metrics
        assert metrics[f"comparison.{place + 1}.ratio"] == pytest.approx(expected)
        assert metrics[f"comparison.{place + 1}.ratio_ci_low"] == pytest.approx(np.exp(both.low))
        assert metrics[f"comparison.{place + 1}.ratio_ci_high"] == pytest.approx(np.exp(both.high))
        assert float(rows[place]["ratio"]) == pytest.approx(expected)
        assert told["points"][place - 1]["ratio"] == pytest.approx(expected)
        assert told["points"][place - 1]["outcome"] == rows[place]["verdict"]
    table = json.loads((fetched / "tables" / "comparison.json").read_text())
    assert [row[table["columns"].index("run")] for row in table["data"]] == ids


def test_far_more_work_is_told_to_be_slower_and_goes_with_its_point_to_other_stores(
    host: Target, store: MlflowClient, tmp_path: Path
) -> None:
    artifacts, code = tmp_path / "artifacts", llvm.tvm_target(host.code)
    made = [Bundle(tmp_path / name) for name in ("quick", "slow")]
    for one in made:
        one.make_folders()
    tiny_library.export_matmul(code, made[0].root / LIBRARY)
    tiny_library.export_delayed_matmul(code, made[1].root / LIBRARY, SLEEPS_US)
    first, slow = (point(store, seal(one, host)) for one in made)
    ended = dlas("compare", f"run={first},{slow}", *PROTOCOL, f"artifacts={artifacts}")
    assert ended.returncode == 0, ended.stderr
    assert all(f"\n\n{one}  " in ended.stdout for one in (first, slow))
    (kept,) = store.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{first}'")
    assert kept.data.tags["dlas.verdict"].startswith(f"{slow}: slower by a factor of ")
    assert kept.data.metrics["comparison.2.ratio_ci_low"] > 1
    (row,) = (line for line in ended.stdout.splitlines() if line.rstrip().endswith(slow))
    assert " slower " in row
    refused = dlas("compare", f"run={kept.info.run_id},{first}", f"artifacts={artifacts}")
    assert refused.stderr.startswith(f"run: '{kept.info.run_id}' is a comparison")
    assert refused.stderr.rstrip().endswith(f"run={first}")
    copied = dlas("sync", f"from={artifacts}", f"to={tmp_path / 'there'}", f"run={first}")
    assert copied.returncode == 0, copied.stderr
    there = MlflowClient(f"sqlite:///{tmp_path / 'there' / 'mlflow.db'}")
    (again,) = there.search_runs(["1"], "tags.`dlas.kind` = 'comparison'")
    origins = [
        there.get_run(one).data.tags["dlas.origin"] for one in again.data.tags["dlas.compared"].split()
    ]
    assert origins == [first, slow]


def seal(made: Bundle, host: Target) -> Path:
    """The folder of a bundle that has its library, once it has all else."""
    target_file.write(host, made.target)
    images = tiny_library.images(2)
    reference.write(reference.of_precision(images, tiny_library.outputs(images), 32), made.reference)
    measurement.write(
        measuring.measure(made.root / LIBRARY, images, host, config.Timing("test", runs=2)), made.timing
    )
    made.environment.write_text("{}")
    bundle.seal(made.root, point="ab12", stages={})
    return made.root


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return good_bundle.make(tmp_path_factory.mktemp("sound") / "bundle")


@pytest.fixture
def store(tmp_path: Path) -> MlflowClient:
    return tracking.open_store(tmp_path / "artifacts").client


def point(client: MlflowClient, folder: Path | None = None, **metrics: float) -> str:
    """A finished point of the store with this bundle."""
    run = client.create_run("1", tags={"dlas.kind": "point"}).info.run_id
    for name, value in metrics.items():
        client.log_metric(run, name.replace("_", ".", 1), value)
    if folder is not None:
        client.log_artifacts(run, str(folder), "bundle")
    client.set_terminated(run)
    return str(run)


def on_more_threads(target: Target) -> Target:
    return replace(target, placement=replace(target.placement, threads=target.placement.threads + 1))


def elsewhere(target: Target) -> Target:
    return replace(target, reach=Reach("rpc", "192.0.2.1"))


def of_another_architecture(target: Target) -> Target:
    return resolving.resolve(config.Target("arm", "aarch64-linux-gnu", "cortex-a72", 4))


@pytest.mark.parametrize(
    ("changed", "problem", "remedy"),
    [
        (on_more_threads, "runs on other cores than the first point", "points of one target"),
        (elsewhere, "timed on a board elsewhere, host", "leave it out"),
        (of_another_architecture, "it is aarch64 code", "build it for this machine"),
    ],
)
def test_what_can_take_no_turns_here_is_refused_before_anything_is_run(
    changed: Callable[[Target], Target],
    problem: str,
    remedy: str,
    sound: Bundle,
    store: MlflowClient,
    tmp_path: Path,
) -> None:
    other = Bundle(tmp_path / "other")
    _copy(sound, other)
    target_file.write(changed(target_file.read(sound.target)), other.target)
    bundle.seal(other.root, point="ab12", stages={})
    runs = point(store, sound.root), point(store, other.root)
    ended = dlas("compare", f"run={','.join(runs)}", *PROTOCOL, f"artifacts={tmp_path / 'artifacts'}")
    assert ended.returncode == 1
    message = " ".join(ended.stderr.split())
    assert problem in message
    assert remedy in message
    assert runs[1] in message
    assert "checked" not in ended.stdout
    assert not store.search_runs(["1"], "tags.`dlas.kind` = 'comparison'")


def _copy(source: Bundle, to: Bundle) -> None:
    shutil.copytree(source.root, to.root)


def test_a_changed_bundle_and_an_unsigned_one_are_refused(
    sound: Bundle, store: MlflowClient, tmp_path: Path
) -> None:
    changed = Bundle(tmp_path / "changed")
    _copy(sound, changed)
    (changed.root / LIBRARY).write_bytes(b"another library")
    runs = point(store, sound.root), point(store, changed.root)
    (tmp_path / "signers").write_text("nobody@example.org ssh-ed25519 AAAA\n")
    given = ("compare", f"run={','.join(runs)}", *PROTOCOL, f"artifacts={tmp_path / 'artifacts'}")
    ended = dlas(*given)
    assert ended.returncode == 1
    assert "model.so" in ended.stderr
    unsigned = dlas(*given, f"signers={tmp_path / 'signers'}")
    assert unsigned.returncode == 1
    assert "sign" in unsigned.stderr
    assert "verified" not in unsigned.stdout


def test_too_many_and_too_large_points_are_refused_before_they_are_fetched(
    store: MlflowClient, tmp_path: Path
) -> None:
    many = [point(store) for _ in range(13)]
    large = [point(store, memory_peak_bytes=1e15) for _ in range(2)]
    for runs, problem in (
        (many, "13 points are too many"),
        (large, "of memory"),
        (many[:1], "one point alone"),
    ):
        ended = dlas("compare", f"run={','.join(runs)}", *PROTOCOL, f"artifacts={tmp_path / 'artifacts'}")
        assert ended.returncode == 1
        assert ended.stderr.startswith("run: ")
        assert problem in ended.stderr
        assert "run=<id>,<id>" in ended.stderr


@pytest.mark.parametrize("option", ["timing=quick", "timing.budget=60", "signers=file", "json=told.json"])
def test_options_of_timing_again_need_it(option: str) -> None:
    ended = dlas("compare", "run=one,two", option)
    assert ended.returncode == 2
    assert ended.stderr.startswith(option.partition("=")[0])
