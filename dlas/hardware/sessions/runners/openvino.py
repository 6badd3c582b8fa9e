"""The runner of OpenVINO's files, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.on_cpu import OnCpu

PACKAGES = {"openvino": "openvino"}

FILE = "network.xml"
"""File of the network; that of its weights lies beside it."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network that OpenVINO compiled for this CPU. Arrays are shared with it, not copied."""

    uncounted = "OpenVINO keeps the threads that it was loaded with"

    request: Any
    version: str

    def put(self, images: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(images)

    def run(self, images: np.ndarray) -> Any:
        return self.request.infer([images], share_inputs=True, share_outputs=True)

    def array(self, output: Any) -> np.ndarray:
        return np.array(output[0])

    def describe(self) -> Mapping[str, str]:
        return {"openvino": self.version}


def settings(threads: int) -> Mapping[str, str]:
    """One stream for the least latency, and float32, where it would take bfloat16 on CPUs that have it."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }


def prepare(device: str) -> None:
    """Import OpenVINO."""
    import openvino  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder, compiled for this CPU."""
    import openvino

    compiled = openvino.Core().compile_model(library / FILE, "CPU", dict(settings(threads)))
    return Network(compiled.create_infer_request(), openvino.__version__.partition("-")[0])
