"""The runner of ONNX files by ONNX Runtime, on the CPU.

`dlas.systems.compilers.onnxruntime` writes them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.hardware.sessions.shared.on_cpu import OnCpu

if TYPE_CHECKING:
    from onnxruntime import SessionOptions

PACKAGES = {"onnxruntime": "onnxruntime"}

FILE = "network.onnx"

PROVIDER = "CPUExecutionProvider"

KERNEL = "_kernel_time"
"""What a profile adds to the name of an operator, for the time that its kernel took."""

MOVED = re.compile(r"_token_\d+$")
"""What ONNX Runtime adds to the name of an operator whose channels it moved to the last axis."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network in a session of ONNX Runtime, which reads and writes arrays in the host's memory."""

    uncounted = "ONNX Runtime keeps the threads that it was loaded with"

    session: Any
    input_name: str
    version: str

    def put(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {self.input_name: np.ascontiguousarray(images)}

    def run(self, images: dict[str, np.ndarray]) -> np.ndarray:
        output: np.ndarray = self.session.run(None, images)[0]
        return output

    def array(self, output: np.ndarray) -> np.ndarray:
        return output

    def describe(self) -> Mapping[str, str]:
        return {"onnxruntime": self.version}


def settings(library: Path, threads: int) -> Mapping[str, str]:
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

    return _loaded(library, threads, onnxruntime.SessionOptions())


def data_types(library: Path, threads: int, images: np.ndarray) -> Mapping[str, str]:
    """What ONNX Runtime's own profile of one run tells of the first input of each operator."""
    import onnxruntime

    with TemporaryDirectory(prefix="dlas-") as scratch:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = os.fspath(Path(scratch, "profile"))
        network = _loaded(library, threads, options)
        network.run(network.put(images))
        events = json.loads(Path(network.session.end_profiling()).read_text())
    ran = [event for event in events if event["name"].endswith(KERNEL)]
    return {_operator(event["name"]): _first_type(event["args"]["input_type_shape"]) for event in ran}


def _operator(name: str) -> str:
    """Name in the ONNX file of an operator that a profile tells the kernel of."""
    return MOVED.sub("", name.removesuffix(KERNEL))


def _first_type(inputs: Sequence[Mapping[str, Any]]) -> str:
    """NumPy's name of the first input's type, of those that a profile has; "" where it has none."""
    told = next(iter(inputs[0]), "") if inputs else ""
    return "float32" if told == "float" else told


def _loaded(library: Path, threads: int, options: SessionOptions) -> Network:
    import onnxruntime

    wanted = settings(library, threads)
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, wanted["graph_optimization_level"]
    )
    options.execution_mode = getattr(onnxruntime.ExecutionMode, wanted["execution_mode"])
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = int(wanted["inter_op_num_threads"])
    spinning = "session.intra_op.allow_spinning"
    options.add_session_config_entry(spinning, wanted[spinning])
    session = onnxruntime.InferenceSession(library / FILE, options, providers=[wanted["providers"]])
    return Network(session, session.get_inputs()[0].name, onnxruntime.__version__)
