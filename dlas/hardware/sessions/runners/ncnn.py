"""The runner of ncnn's files by ncnn, on the CPU.

`dlas.systems.compilers.ncnn` writes them.
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

PACKAGES = {"ncnn": "ncnn"}

NETWORK, WEIGHTS = "network.param", "network.bin"

INPUT, OUTPUT = "in0", "out0"
"""Names that pnnx gives to the network's input and output."""

OFF = ("use_vulkan_compute", "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")
"""Options that would compute elsewhere, or with less than float32."""


@dataclass(frozen=True)
class Network(OnCpu):
    """A network that ncnn has loaded, for one image at a time."""

    uncounted = "ncnn keeps the threads that it was loaded with"

    net: Any

    def put(self, images: np.ndarray) -> Any:
        import ncnn

        (image,) = np.array(images, np.float32, order="C")
        return ncnn.Mat(image).clone()  # ncnn's own memory: the array is gone soon

    def run(self, images: Any) -> Any:
        extractor = self.net.create_extractor()
        extractor.input(INPUT, images)
        status, output = extractor.extract(OUTPUT)
        if status != 0:
            raise ValueError(f"ncnn ended with status {status}")
        return output

    def array(self, output: Any) -> np.ndarray:
        return np.array(output)[None]

    def describe(self) -> Mapping[str, str]:
        return {"ncnn": version("ncnn")}


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The threads; float32 as float32; all else as ncnn has it, for the CPU."""
    return {"num_threads": str(threads), **dict.fromkeys(OFF, "False")}


def prepare(device: str) -> None:
    """Import ncnn."""
    import ncnn  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's files."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in OFF:
        setattr(net.opt, name, False)
    for read, name in ((net.load_param, NETWORK), (net.load_model, WEIGHTS)):
        if status := read(os.fspath(library / name)):
            raise ValueError(f"{name} can't be read by ncnn: status {status}")
    return Network(net)
