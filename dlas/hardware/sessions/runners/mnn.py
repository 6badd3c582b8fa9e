"""The runner of MNN's files by MNN, on the CPU.

`dlas.systems.compilers.mnn` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.shared.on_cpu import OnCpu

PACKAGES = {"MNN": "MNN"}

FILE, HALF_FILE = "network.mnn", "network.float16.mnn"
"""Files of a network in float32, and of one in float16: MNN's own format does not tell them apart."""

INPUT, OUTPUT = "images", "outputs"
"""Names of the network's input and output in ONNX."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network that MNN has loaded."""

    uncounted = "MNN keeps the threads that it was loaded with"

    module: Any
    runtime: Any
    """What MNN keeps the module's threads in."""

    def put(self, images: np.ndarray) -> Any:
        import MNN.expr as expression

        content = np.array(images, np.float32, order="C")
        given = expression.const(content, list(images.shape), expression.NCHW)
        return expression.convert(given, expression.NC4HW4)

    def run(self, images: Any) -> np.ndarray:
        import MNN.expr as expression

        output = self.module.forward([images])[0]
        found: np.ndarray = expression.convert(output, expression.NCHW).read()  # computes what is lazy so far
        return found

    def array(self, output: np.ndarray) -> np.ndarray:
        return np.array(output)

    def describe(self) -> Mapping[str, str]:
        return {"mnn": version("MNN")}


def file(library: Path) -> Path:
    """The network's file in the folder."""
    half = library / HALF_FILE
    return half if half.exists() else library / FILE


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The threads, and the data type of the network: float32 as float32, float16 where the CPU computes in
    it."""
    precision = "low" if file(library).name == HALF_FILE else "high"
    return {"backend": "CPU", "numThread": str(threads), "precision": precision}


def prepare(device: str) -> None:
    """Import MNN."""
    import MNN.nn  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's file."""
    import MNN.nn as network

    wanted = {**settings(library, threads), "numThread": threads}
    runtime = network.create_runtime_manager((wanted,))
    stored = file(library)
    module = network.load_module_from_file(os.fspath(stored), [INPUT], [OUTPUT], runtime_manager=runtime)
    if module is None:
        raise ValueError(f"{stored.name} is no network of MNN's")
    return Network(module, runtime)
