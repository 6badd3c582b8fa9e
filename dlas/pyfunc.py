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
from dlas.bundle import Bundle
from dlas.hardware.results import reference
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.session import compute, torch_kept_out
from dlas.hardware.targets import target_file
from dlas.hardware.targets.fitting import require_fit
from dlas.hardware.targets.machine import usable_cores
from dlas.interfaces.runner import LoadedNetwork
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers
from dlas.printable import printable


class DeployedModel:
    """A library that was loaded. Threads may share it: they wait for each other."""

    def __init__(self, network: LoadedNetwork, output_shape: tuple[int, ...]) -> None:
        self._network = network
        self._output_shape = output_shape
        self._alone = threading.Lock()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The outputs (N, …) for images (N, C, H, W), one after the other."""
        if not len(images):
            return np.empty((0, *self._output_shape), np.float32)
        with self._alone:
            return compute(self._network, images, 1)


def _load_pyfunc(path: str) -> DeployedModel:
    """The model in the folder `path`, which is a bundle; MLflow calls this.

    Raises UserError where a file of it isn't as it was sealed, where DLAS_SIGNERS is set and none of those in
    that file signed it, and where the library can't run on this machine or its runtime is not installed.
    """
    verified = bundle.trusted(Path(path), None)
    target = target_file.read(verified.target)
    require_fit(target.code)
    expected = reference.read(verified.reference)
    network = _loaded(verified, target, min(target.placement.threads, usable_cores()))
    return DeployedModel(network, expected.outputs.shape[1:])


def _loaded(verified: Bundle, target: Target, threads: int) -> LoadedNetwork:
    """The bundle's network in this process, in as many threads as were timed.

    TVM's threads run where the system has them, as other work of the process may need the same cores; and
    are as many as the environment says, where it does.
    """
    compiler = target_file.compiler(verified.target)
    runner, library = runners.named(compiler), verified.libraries(compiler, (1,))[1]
    if compiler != runners.TVM:
        compilers.require_installed(compiler, printable(verified.target))
        return runner.load(library, threads, target.code.kind)
    os.environ.setdefault("TVM_NUM_THREADS", str(threads))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    with torch_kept_out():  # TVM imports it where it is installed; the process may do so later
        return runner.load(library, threads, target.code.kind)
