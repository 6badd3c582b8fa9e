"""A bundle as a model of MLflow's: what `mlflow.pyfunc.load_model` has load it, in the process that asks.

    model = mlflow.pyfunc.load_model("models:/dlas-resnet18@fastest")    or the folder of a bundle
    model.predict(images)                                float32 (N, C, H, W) -> outputs (N, …)

The library is its sender's code, and runs as you from then on: SECURITY.md. It needs no PyTorch. Bundles on
disk name this module, so it stays.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from dlas import bundle
from dlas.hardware.results import reference
from dlas.hardware.sessions.device import Device
from dlas.hardware.sessions.session import outputs, torch_kept_out
from dlas.hardware.sessions.tvm_runtime import loaded
from dlas.hardware.targets import target_file
from dlas.hardware.targets.fitting import require_fit
from dlas.hardware.targets.machine import usable_cores
from dlas.interfaces.targets.target import Target


class DeployedModel:
    """A library that was loaded. Threads may share it: they wait for each other."""

    def __init__(self, library: Path, target: Target, output_shape: tuple[int, ...]) -> None:
        with torch_kept_out():  # TVM imports it where it is installed; the process may do so later
            self._device = Device(target.code.kind)
            self._main = self._device.main(loaded(library))
        self._output_shape = output_shape
        self._alone = threading.Lock()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The outputs (N, …) for images (N, C, H, W), one after the other."""
        if not len(images):
            return np.empty((0, *self._output_shape), np.float32)
        with self._alone:
            return outputs(self._main, images, 1, self._device)


def _load_pyfunc(path: str) -> DeployedModel:
    """The model in the folder `path`, which is a bundle; MLflow calls this.

    Raises UserError where a file of it isn't as it was sealed, where DLAS_SIGNERS is set and none of those in
    that file signed it, and where the library can't run on this machine.
    """
    verified = bundle.trusted(Path(path), None)
    target = target_file.read(verified.target)
    require_fit(target.code)
    expected = reference.read(verified.reference)
    _place(target)
    return DeployedModel(verified.library, target, expected.outputs.shape[1:])


def _place(target: Target) -> None:
    """Have TVM compute in as many threads as were timed, unless the environment says otherwise, and leave it
    to the system where: other work of the process may need the same cores."""
    os.environ.setdefault("TVM_NUM_THREADS", str(min(target.placement.threads, usable_cores())))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
