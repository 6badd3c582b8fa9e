"""The runner of OpenVINO's files, on the CPU.

`dlas.systems.compilers.openvino` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dlas.hardware.sessions.shared.on_cpu import OnCpu

if TYPE_CHECKING:
    from openvino import CompiledModel, Model

PACKAGES = {"openvino": "openvino"}

CONVERTER = "openvino.tools.ovc"
"""Module whose import has OpenVINO tell a server that there was one, while a session may be timing."""

FILE = "network.xml"
"""File of the network; that of its weights lies beside it."""

DATA_TYPES = {"u8": "uint8", "i8": "int8", "f16": "float16", "f32": "float32"}
"""NumPy's names of data types, by OpenVINO's."""

HALF = "f16"
"""OpenVINO's name of float16."""


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


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """One stream for the least latency, and the data type of the network, where it would take bfloat16 or
    float16 for float32 on CPUs that have them."""
    return _settings(imported().Core().read_model(library / FILE), threads)


def _settings(model: Model, threads: int) -> Mapping[str, str]:
    half = any(
        output.get_element_type().to_string() == HALF for node in model.get_ops() for output in node.outputs()
    )
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": HALF if half else "f32",
    }


def imported() -> ModuleType:
    """OpenVINO without its `CONVERTER`, which it does without where that can't be imported."""
    modules = cast(dict[str, ModuleType | None], sys.modules)
    kept_out = modules.setdefault(CONVERTER, None) is None
    try:
        import openvino
    finally:
        if kept_out:
            del modules[CONVERTER]
    return cast(ModuleType, openvino)


def prepare(device: str) -> None:
    """Import OpenVINO."""
    imported()


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder, compiled for this CPU."""
    request = _compiled(library, threads).create_infer_request()
    return Network(request, imported().__version__.partition("-")[0])


def data_types(library: Path, threads: int, images: np.ndarray) -> Mapping[str, str]:
    """What OpenVINO tells of the network that it made for this CPU: it chose all data types as it loaded."""
    found: dict[str, str] = {}
    for node in _compiled(library, threads).get_runtime_model().get_ops():
        told = node.get_rt_info()
        data_type = told["runtimePrecision"].astype(str)
        names = told["originalLayersNames"].astype(str).split(",")
        found |= dict.fromkeys(names, DATA_TYPES.get(data_type, data_type))
    return found


def _compiled(library: Path, threads: int) -> CompiledModel:
    core = imported().Core()
    model = core.read_model(library / FILE)
    return core.compile_model(model, "CPU", dict(_settings(model, threads)))
