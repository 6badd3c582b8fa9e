"""Tracking: where MLflow keeps the runs."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.errors import require


@dataclass(frozen=True)
class Tracking:
    """Place of the runs in MLflow; a null `uri` is MLFLOW_TRACKING_URI or `<artifacts>/mlflow.db`."""

    uri: str | None = None
    experiment: str = "dlas"

    def __post_init__(self) -> None:
        named = bool(self.experiment.strip())
        require(named, "tracking.experiment", "the experiment has no name", "a name such as dlas")
