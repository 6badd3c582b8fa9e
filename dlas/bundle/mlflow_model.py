"""The file that makes a bundle a model which MLflow loads: `mlflow.pyfunc.load_model(<the folder>)`.

It is written without MLflow, which takes seconds to import.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np

LOADER = "dlas.pyfunc"
"""Name of the module that MLflow has load the folder. Bundles on disk have it."""


def write(path: Path, inputs: np.ndarray, outputs: np.ndarray) -> None:
    """Write the file for a network that answers inputs (N, C, H, W), such as these, with such outputs (N, …).

    JSON is YAML, which MLflow reads.
    """
    flavor = {"loader_module": LOADER, "python_version": platform.python_version()}
    signature = {"inputs": _tensor(inputs), "outputs": _tensor(outputs)}
    model = {"flavors": {"python_function": flavor}, "signature": signature}
    path.write_text(f"{json.dumps(model, indent=1)}\n", encoding="utf-8")


def _tensor(array: np.ndarray) -> str:
    """A signature's JSON of a tensor of any number of such items."""
    spec = {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]]}
    return json.dumps([{"type": "tensor", "tensor-spec": spec}])
