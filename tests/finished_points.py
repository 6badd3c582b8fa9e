"""The finished points of a store, and their bundles, as MLflow's own client gives them."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from dlas.bundle import Bundle, verify


def runs_by_compression(client: MlflowClient) -> dict[str, Run]:
    experiment = client.get_experiment_by_name("dlas").experiment_id
    finished = "tags.`dlas.kind` = 'point' and attributes.status = 'FINISHED'"
    return {run.data.params["compression"]: run for run in client.search_runs([experiment], finished)}


def fetched_bundles(client: MlflowClient, runs: dict[str, Run], folder: Path) -> dict[str, Bundle]:
    """By the key of its run, each in a folder of that name."""
    bundles = {}
    for name, run in runs.items():
        (folder / name).mkdir()
        fetched = client.download_artifacts(run.info.run_id, "bundle", str(folder / name))
        bundles[name] = verify(Path(fetched))
    return bundles
