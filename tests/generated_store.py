"""A sweep that MLflow's own client wrote: points with bundles of the first version, and what can be odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from dlas import tracking

BUNDLES = Path(__file__).parent / "fixtures" / "schema1"
MARKUP = "</script><img src=x onerror=alert(1)>$&_"
"""Name of a model that a page, a table and a figure have to show as it is."""


ROOFS = {"roof.float32_gflops": 100.0, "roof.int8_gops": 400.0}
ROOFS |= {"roof.read_gb_per_s": 20.0, "roof.triad_gb_per_s": 15.0}
"""What a machine has at most, as a run tells it."""


@dataclass(frozen=True)
class Generated:
    """The store, and the ids of its runs by what they are."""

    artifacts: Path
    client: MlflowClient
    experiment: str
    sweep: str
    runs: Mapping[str, str]


def choices(**more: str) -> dict[str, str]:
    names = {"dataset": "digits", "algo": "direct", "format": "dense", "compiler": "tvm", "tuner": "none"}
    given = {"model.name": "net", "target.name": "host", "compression": "none"}
    return {**{f"{layer}.name": name for layer, name in names.items()}, **given, **more}


def metrics(latency: float, **more: float) -> dict[str, float]:
    found = {"latency.median_ms": latency, "latency.ci_low_ms": latency * 0.99}
    found |= {"latency.ci_high_ms": latency * 1.01, "accuracy.deployed": 0.9, "accuracy.dense": 0.95}
    return {**found, "accuracy.compressed": 0.9, "bytes.format": 1e6, **more}


def make(artifacts: Path) -> Generated:
    """The sweep; a point is finished unless its name says otherwise."""
    store = tracking.open_store(artifacts)
    client, experiment = store.client, store.experiment_id
    sweep = client.create_run(
        experiment,
        tags={"dlas.kind": "sweep", "mlflow.runName": "the sweep", "dlas.overrides": "algo=direct,gemm"},
    ).info.run_id
    tuned = {"tuning.trials": 32.0, "tuning.layers_tuned": 0.0}
    points: dict[str, tuple[dict[str, str], dict[str, float], dict[str, str], str]] = {
        "tuned": (choices(**{"tuner.name": "metaschedule"}), metrics(0.007, **tuned), {}, "metaschedule"),
        "dense": (choices(), metrics(0.008, **ROOFS), {"dlas.unsteady_roofs": "other processes"}, "int8"),
        "pruned": (
            choices(compression="weight_pruning", **{"format.name": "csr"}),
            metrics(0.004, **{"speedup.expected": 4.0}, **ROOFS),
            {"dlas.unsteady": "other processes used 1.3 of 2 cores"},
            "csr",
        ),
        "without a bundle": (choices(**{"model.name": MARKUP}), metrics(3.0), {}, ""),
        "bare": ({}, {}, {}, ""),
        "emulated": (
            choices(**{"target.name": "pi"}),
            metrics(90.0),
            {"dlas.emulated": "QEMU", "dlas.session_medians_ms": "90 91 90 92"},
            "",
        ),
        "failed": (choices(**{"algo.name": "gemm"}), {}, {"dlas.error": "<b>the cat</b>\nsat on it"}, ""),
    }
    runs = {}
    for name, (params, numbers, tags, bundle) in points.items():
        marks = {"dlas.kind": "point", "mlflow.parentRunId": sweep, "mlflow.runName": f"run {name}", **tags}
        run = client.create_run(experiment, tags=marks).info.run_id
        client.log_batch(
            run,
            metrics=[Metric(key, value, 0, 0) for key, value in numbers.items()],
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag("dlas.note", "odd <i>note</i>")],
        )
        if bundle:
            client.log_artifacts(run, str(BUNDLES / bundle), "bundle")
        client.set_terminated(run, "FAILED" if name == "failed" else "FINISHED")
        runs[name] = run
    client.set_terminated(sweep, "FAILED")
    return Generated(artifacts, client, experiment, sweep, runs)


def sweep_of(generated: Generated, names: tuple[str, ...]) -> str:
    """Another sweep, of points that repeat these."""
    client = generated.client
    sweep = client.create_run(generated.experiment, tags={"dlas.kind": "sweep"}).info.run_id
    for name in names:
        first = client.get_run(generated.runs[name]).data
        tags = {"dlas.kind": "point", "mlflow.parentRunId": sweep}
        run = client.create_run(generated.experiment, tags=tags).info.run_id
        client.log_batch(
            run,
            metrics=[Metric(key, value, 0, 0) for key, value in first.metrics.items()],
            params=[Param(key, value) for key, value in first.params.items()],
        )
        client.set_terminated(run)
    return sweep
