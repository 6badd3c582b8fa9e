"""What a sweep's run says in MLflow when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from open_points import start_point

from dlas import tracking
from dlas.tracking.outcome import marks

LATENCY, ACCURACY = "latency.median_ms", "accuracy.deployed"


def make(
    store: tracking.Store,
    sweep: str,
    name: str,
    metrics: dict[str, float],
    status: str = "FINISHED",
    **tags: str,
) -> str:
    point = start_point(store, name, {f"dlas.{tag}": text for tag, text in tags.items()}, sweep)
    point.log(params={"dataset.name": "digits", "target.name": "host"}, metrics=metrics)
    tracking.close(point, status)
    return point.run_id


def test_a_sweep_s_run_has_numbers_and_its_best_points_a_tag(tmp_path: Path) -> None:
    store = tracking.open_store(tmp_path)
    before = tracking.start_sweep(store, "before", {})
    taken = make(store, before.run_id, "taken", {LATENCY: 1.0, ACCURACY: 0.5})
    sweep = tracking.start_sweep(store, "sweep", {}, [taken])
    make(store, sweep.run_id, "accurate", {LATENCY: 4.0, ACCURACY: 0.9})
    make(store, sweep.run_id, "between", {LATENCY: 2.0, ACCURACY: 0.8})
    make(store, sweep.run_id, "beaten", {LATENCY: 5.0, ACCURACY: 0.7})
    make(store, sweep.run_id, "emulated", {LATENCY: 0.1, ACCURACY: 0.6}, emulated="QEMU")
    make(store, sweep.run_id, "failed", {}, "FAILED")

    marks.note(sweep, tracking.points(store, sweep.run_id))

    client = MlflowClient(store.uri)
    assert client.get_run(sweep.run_id).data.metrics == pytest.approx(
        {
            "sweep.points": 6,
            "sweep.finished": 5,
            "sweep.failed": 1,
            "sweep.fastest_median_ms": 1.0,
            "sweep.best_accuracy": 0.9,
        }
    )
    marked = client.search_runs([store.experiment_id], "tags.`dlas.front` = 'true'")
    assert {run.info.run_name for run in marked} == {"accurate", "between", "emulated"}


def test_a_sweep_without_a_finished_point_has_counts_alone(tmp_path: Path) -> None:
    store = tracking.open_store(tmp_path)
    sweep = tracking.start_sweep(store, "sweep", {})
    make(store, sweep.run_id, "failed", {}, "FAILED")
    marks.note(sweep, tracking.points(store, sweep.run_id))
    found = MlflowClient(store.uri).get_run(sweep.run_id).data.metrics
    assert found == {"sweep.points": 1, "sweep.finished": 0, "sweep.failed": 1}
