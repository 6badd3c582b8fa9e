"""`algo=auto` and `format=auto`: a pruned point whose layers get the fastest kernels, from the command on."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from command import dlas
from mlflow import MlflowClient
from user_options import own_model

from dlas.bundle import verify

pytestmark = pytest.mark.slow

ALGORITHMS = ["direct", "gemm", "winograd_f2"]
FORMATS = ["dense", "csr"]

Row = dict[str, str]

KERNELS = [("", "dense"), ("_sparse", "csr")]


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command said, and the bundle."""
    folder = tmp_path_factory.mktemp("auto")
    ended = dlas(
        *("run", *own_model(folder, "two_layers"), "train.epochs=4"),
        *("compression=weight_pruning", "compression.weight_pruning.finetune.epochs=1"),
        *("algo=auto", f"algo.candidates=[{','.join(ALGORITHMS)}]"),
        *("format=auto", f"format.candidates=[{','.join(FORMATS)}]"),
        *("tuner=none", "timing.runs=20", f"artifacts={folder / 'artifacts'}"),
    )
    assert ended.returncode == 0, ended.stderr
    client = MlflowClient(f"sqlite:///{folder / 'artifacts' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    fetched = client.download_artifacts(run.info.run_id, "bundle", str(folder))
    verify(Path(fetched))
    return ended.stderr, Path(fetched)


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


def test_one_network_is_chosen_and_none_that_was_timed_is_faster(candidates: dict[str, list[Row]]) -> None:
    (chosen,) = (row for row in candidates["network"] if row["chosen"] == "True")
    assert float(chosen["time_ms"]) == min(float(row["time_ms"]) for row in candidates["network"])


def test_an_algorithm_that_serves_no_layer_is_named_and_not_timed(
    point: tuple[str, Path], candidates: dict[str, list[Row]]
) -> None:
    """Winograd's tiles are for strides of one."""
    assert "winograd_f2 serves none of the layers" in point[0]
    assert not any("winograd" in row["algorithm"] for rows in candidates.values() for row in rows)
