"""Loads a model by MLflow's own client, in a process where PyTorch can't be imported, and has it predict.

python mlflow_predictions.py <address of the store> <model> <inputs.npy> <outputs.npy>
"""

from __future__ import annotations

import sys

import numpy as np

sys.modules["torch"] = None  # type: ignore[assignment]


def main() -> None:
    import mlflow

    store, model, inputs, outputs = sys.argv[1:]
    mlflow.set_tracking_uri(store)
    loaded = mlflow.pyfunc.load_model(model)
    np.save(outputs, loaded.predict(np.load(inputs)))


if __name__ == "__main__":
    main()
