"""`algo=auto` and `format=auto`: a pruned point whose layers get the fastest kernels, from the command on."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from busy import half_a_core_busy
from command import dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

from dlas.bundle import verify
from dlas.stages.store.decision import FILE

pytestmark = pytest.mark.slow

ALGORITHMS = ["direct", "gemm", "winograd_f2"]
FORMATS = ["dense", "csr"]

Row = dict[str, str]

KERNELS = [("", "dense"), ("_sparse", "csr")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auto")


@pytest.fixture(scope="module")
def model(folder: Path) -> Sequence[str]:
    return own_model(folder, "two_layers")


@pytest.fixture(scope="module")
def point(folder: Path, model: Sequence[str]) -> tuple[str, Path]:
    """What the command said, and the bundle."""
    with half_a_core_busy(folder / "artifacts" / "stages" / "lower"):
        ended = declared(folder, model)
    assert ended.returncode == 0, ended.stderr
    assert "rerun=unsteady" in ended.stdout
    (run,) = runs(folder)
    fetched = client(folder).download_artifacts(run.info.run_id, "bundle", str(folder))
    verify(Path(fetched))
    return ended.stderr, Path(fetched)


def declared(folder: Path, model: Sequence[str], *more: str) -> CompletedProcess[str]:
    return dlas(
        *("run", *model, "train.epochs=4"),
        *("compression=weight_pruning", "compression.weight_pruning.finetune.epochs=1"),
        *("algo=auto", f"algo.candidates=[{','.join(ALGORITHMS)}]"),
        *("format=auto", f"format.candidates=[{','.join(FORMATS)}]"),
        *("tuner=none", "timing=quick", "timing.runs=20", f"artifacts={folder / 'artifacts'}", *more),
    )


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'artifacts' / 'mlflow.db'}")


def runs(folder: Path) -> list[Run]:
    """In the order in which they were started."""
    store = client(folder)
    experiment = store.get_experiment_by_name("dlas").experiment_id
    return list(store.search_runs([experiment], order_by=["attributes.start_time ASC"]))


@pytest.fixture(scope="module")
def candidates(point: tuple[str, Path]) -> dict[str, list[Row]]:
    """By layer, or "network"."""
    (path,) = point[1].rglob("candidates.csv")
    found = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            found[row["layer"]].append(row)
    return found


def test_every_layer_has_the_kernel_that_its_table_says(
    point: tuple[str, Path], candidates: dict[str, list[Row]]
) -> None:
    with (point[1] / "layers.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["workload"]]
    used = {row["layer"]: (row["algorithm"], row["format"]) for row in rows}
    timed = {(f"{name}{variant}", stored) for name in ("direct", "gemm") for variant, stored in KERNELS}
    assert used.keys() == candidates.keys() - {"network"}
    for layer, kernel in used.items():
        named = {(row["algorithm"], row["format"]): row["chosen"] == "True" for row in candidates[layer]}
        assert named.keys() == timed
        assert [name for name, chosen in named.items() if chosen] == [kernel]
        assert all(float(row["time_ms"]) > 0 for row in candidates[layer])


def test_one_network_is_chosen_and_none_that_was_timed_is_faster_by_more_than_a_tie(
    candidates: dict[str, list[Row]],
) -> None:
    (chosen,) = (row for row in candidates["network"] if row["chosen"] == "True")
    faster = [row for row in candidates["network"] if float(row["time_ms"]) < float(chosen["time_ms"])]
    assert all(row["tie"] == "True" for row in faster)
    for row in (row for rows in candidates.values() for row in rows):
        assert float(row["ratio_low"]) <= float(row["ratio_high"])
        assert row["tie"] == "False" or float(row["ratio_low"]) <= 1 / 0.97


def test_a_choice_beside_other_work_is_marked_and_made_again(
    point: tuple[str, Path], folder: Path, model: Sequence[str]
) -> None:
    (first,) = runs(folder)
    assert "other processes used" in first.data.tags["dlas.unsteady_choices"]
    ended = declared(folder, model, "rerun=unsteady")
    assert ended.returncode == 0, ended.stderr
    again = runs(folder)[-1]
    assert again.info.run_id != first.info.run_id
    stages = [dict(key.split("/") for key in run.data.tags["dlas.stages"].split()) for run in (first, again)]
    assert stages[0]["train"] == stages[1]["train"]
    assert stages[0]["lower"] != stages[1]["lower"]
    told = json.loads((folder / "artifacts" / "stages" / "lower" / stages[1]["lower"] / FILE).read_text())
    assert bool(told["unsteady"]) == ("dlas.unsteady_choices" in again.data.tags)


def test_an_algorithm_that_serves_no_layer_is_named_and_not_timed(
    point: tuple[str, Path], candidates: dict[str, list[Row]]
) -> None:
    """Winograd's tiles are for strides of one."""
    assert "winograd_f2 serves none of the layers" in point[0]
    assert not any("winograd" in row["algorithm"] for rows in candidates.values() for row in rows)
