"""The kind of an experiment: MLflow's UI opens one of GenAI on other pages than one of model training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "mlflow.experimentKind"
"""Tag of an experiment by which MLflow's UI chooses its pages."""

MODEL_TRAINING = "custom_model_development"
"""The kind that opens on the table of runs."""

GUESSED = "inferred"
"""Part of the kinds that MLflow's UI guesses; those without it were chosen by a person."""


def put_right(client: MlflowClient, experiment_id: str) -> None:
    """Have MLflow's UI open the experiment as model training. A kind that a person chose stays."""
    kind = client.get_experiment(experiment_id).tags.get(KIND, "")
    if not kind or GUESSED in kind:
        client.set_experiment_tag(experiment_id, KIND, MODEL_TRAINING)
