"""Sweeps that don't make every point: a search by objectives, and a grid that is tuned near its front."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from command import dlas
from mlflow import MlflowClient
from user_options import own_model

from dlas.tracking import objectives
from dlas.tracking.budgeted import near_front
from dlas.tracking.store import Record

TINY = ("dataset=digits", "timing=quick", "train.epochs=1", "compression=none")


def point(accuracy: float, low: float, high: float, status: str = "FINISHED", target: str = "host") -> Record:
    metrics = {"accuracy.deployed": accuracy, "latency.ci_low_ms": low, "latency.ci_high_ms": high}
    params = {"dataset.name": "digits", "target.name": target}
    return Record("", "", status, params, metrics if status == "FINISHED" else {}, {}, 0)


def test_no_point_of_the_tuned_front_is_left_out() -> None:
    """Latencies within the intervals, and gains that differ by no more than the margin."""
    chance = random.Random(1)
    left_out = 0
    for _ in range(300):
        margin = chance.choice((1.0, 1.5, 3.0))
        lows = [chance.uniform(1, 10) for _ in range(8)]
        grid = [point(chance.choice((0.7, 0.8, 0.9)), low, low * chance.uniform(1, 1.2)) for low in lows]
        near = near_front(grid, margin)
        left_out += len(grid) - len(near)
        gains = [chance.uniform(1, margin) for _ in grid]
        tuned = [
            chance.uniform(one.metrics["latency.ci_low_ms"], one.metrics["latency.ci_high_ms"]) / gain
            for one, gain in zip(grid, gains, strict=True)
        ]
        accuracy = [one.metrics["accuracy.deployed"] for one in grid]
        front = {
            place
            for place in range(8)
            if not any(accuracy[q] >= accuracy[place] and tuned[q] < tuned[place] for q in range(8))
        }
        assert front <= set(near)
    assert left_out > 300


def test_points_that_failed_or_are_of_another_board_rule_nothing_out() -> None:
    slow, fast = point(0.8, 10, 11), point(0.9, 1, 1.1)
    assert near_front([slow, fast], 2.0) == [1]
    assert near_front([slow, point(0.9, 1, 1.1, target="board")], 2.0) == [0, 1]
    assert near_front([slow, point(0.9, 1, 1.1, status="FAILED")], 2.0) == [0]


def test_a_point_without_numbers_is_a_failure_to_the_sweeper() -> None:
    assert objectives.values(point(0, 0, 0, status="FAILED"), ["latency_ms"]) is None


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
