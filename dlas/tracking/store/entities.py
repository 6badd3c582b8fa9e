"""The store, and a run and a metric as it tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Store:
    """An experiment of an MLflow store."""

    client: MlflowClient
    uri: str
    experiment_id: str


@dataclass(frozen=True)
class Record:
    """A run as the store tells it. `status` is RUNNING, FINISHED, FAILED or KILLED."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    ended: float
    """Time at which the run ended, in seconds since the epoch; infinite for one that goes on."""
    files: str | None = None
    """Where the run's files are, as the store tells it; None of a run that no store has yet."""


@dataclass(frozen=True)
class Number:
    """A value of a metric."""

    name: str
    value: float
    time: int
    """Time at which it was logged, in milliseconds since the epoch."""
    step: int
