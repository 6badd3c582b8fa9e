"""Sweeps that don't make every point: a search by objectives, and a grid that is tuned near its front."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import dlas
from mlflow import MlflowClient
from user_options import own_model

from dlas.tracking import objectives
from dlas.tracking.delivery import Place
from dlas.tracking.store import Record
from dlas.tracking.sweep import membership

TINY = ("dataset=digits", "timing=quick", "train.epochs=1", "compression=none")


def test_a_point_without_numbers_is_a_failure_to_the_sweeper() -> None:
    failed = Record("", "", "FAILED", {}, {}, {}, 0)
    assert objectives.values(failed, ["latency_ms"]) is None


def test_a_search_says_what_for() -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    ended = dlas("run", "-m", "algo=gemm,direct", "hydra/sweeper=optuna")
    assert ended.returncode == 2
    assert ended.stderr.startswith("objectives: says not what this sweeper is to search for\n")
    ended = dlas("run", "-m", "algo=gemm,direct", "hydra/sweeper=optuna", "objectives=[speed]")
    assert ended.returncode == 2
    assert ended.stderr.startswith("objectives: 'speed' is not known\n")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("tuner=none", "tuner: is none, so that there is nothing to tune near the front\n"),
        ("hydra.sweeper.margin=0.5", "hydra.sweeper.margin: is less than 1\n"),
    ],
)
def test_a_budget_is_for_a_tuner_and_gains(override: str, told: str) -> None:
    ended = dlas("run", "-m", "experiment=budgeted", "algo=gemm,direct", override)
    assert ended.returncode == 2
    assert ended.stderr.startswith(told)


def test_only_a_search_is_told_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budgeted sweep finds its points again by the ids."""
    monkeypatch.setenv(membership.PARENT, "ffff")
    monkeypatch.setenv(membership.UNCHECKED, "")
    assert membership.told(Place(tmp_path, None, "dlas"), "abcd", ["latency_ms"]) == "abcd"


@pytest.mark.slow
def test_optuna_searches_by_what_the_store_has_of_its_trials(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    artifacts = tmp_path / "artifacts"
    ended = dlas(
        *("run", "-m", *own_model(tmp_path, "two_layers"), *TINY, f"artifacts={artifacts}"),
        *("experiment=search", "algo=gemm,direct", "hydra.sweeper.n_trials=3"),
    )
    assert ended.returncode == 0, ended.stderr
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    points = [run for run in found if run.data.tags["dlas.kind"] == "point"]
    assert 1 <= len(points) <= 2  # a trial of a point that is made takes its run
    measured = {
        (
            run.data.params["algo.name"],
            run.data.metrics["latency.median_ms"],
            1 - run.data.metrics["accuracy.deployed"],
            run.data.metrics["library.bytes"],
        )
        for run in points
    }
    (results,) = artifacts.glob("hydra/*/*/optimization_results.yaml")
    solutions = yaml.safe_load(results.read_text())["solutions"]
    assert solutions
    assert {(one["params"]["algo"], *one["values"]) for one in solutions} <= measured


@pytest.mark.exhaustive
def test_a_budgeted_sweep_tunes_what_may_be_on_the_front(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    sweep = (
        *("run", "-m", *own_model(tmp_path, "two_layers"), *TINY, f"artifacts={artifacts}"),
        *("experiment=budgeted", "algo=gemm,direct", "tuner.trials=2", "hydra.sweeper.margin=100"),
        "objectives=[latency_ms]",
    )
    ended = dlas(*sweep)
    assert ended.returncode == 0, ended.stderr
    assert "screened: 2 of 2 points may be on the front" in ended.stderr
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    points = [run for run in found if run.data.tags["dlas.kind"] == "point"]
    assert sorted((run.data.params["algo.name"], run.data.params["tuner.name"]) for run in points) == [
        (algorithm, tuner) for algorithm in ("direct", "gemm") for tuner in ("metaschedule", "none")
    ]
    again = dlas(*sweep)
    assert again.returncode == 0, again.stderr
    assert "earlier: 4 of 4 points" in again.stdout
    planned = dlas(*sweep, "--plan")
    assert planned.returncode == 0, planned.stderr
    assert "0 of 4 points to be made" in planned.stdout
