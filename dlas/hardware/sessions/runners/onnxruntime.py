"""The runner of ONNX files by ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.on_cpu import OnCpu

PACKAGES = {"onnxruntime": "onnxruntime"}

FILE = "network.onnx"

PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class Network(OnCpu):
    """A network in a session of ONNX Runtime, which reads and writes arrays in the host's memory."""

    uncounted = "ONNX Runtime keeps the threads that it was loaded with"

    session: Any
    input_name: str

    def put(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {self.input_name: np.ascontiguousarray(images)}

    def run(self, images: dict[str, np.ndarray]) -> np.ndarray:
        output: np.ndarray = self.session.run(None, images)[0]
        return output

    def array(self, output: np.ndarray) -> np.ndarray:
        return output

    def describe(self) -> Mapping[str, str]:
        return {"onnxruntime": version("onnxruntime")}


def settings(threads: int) -> Mapping[str, str]:
    """All optimizations of the graph, and one pool of threads, which spin between the operators of a run: it
    is faster so, and nothing else is timed while this process is there."""
    return {
        "providers": PROVIDER,
        "graph_optimization_level": "ORT_ENABLE_ALL",
        "execution_mode": "ORT_SEQUENTIAL",
        "intra_op_num_threads": str(threads),
        "inter_op_num_threads": "1",
        "session.intra_op.allow_spinning": "1",
    }


def prepare(device: str) -> None:
    """Import ONNX Runtime."""
    import onnxruntime  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's ONNX file. Its threads keep to the cores of the process."""
    import onnxruntime

    wanted = settings(threads)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, wanted["graph_optimization_level"]
    )
    options.execution_mode = getattr(onnxruntime.ExecutionMode, wanted["execution_mode"])
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = int(wanted["inter_op_num_threads"])
    spinning = "session.intra_op.allow_spinning"
    options.add_session_config_entry(spinning, wanted[spinning])
    session = onnxruntime.InferenceSession(library / FILE, options, providers=[wanted["providers"]])
    return Network(session, session.get_inputs()[0].name)
