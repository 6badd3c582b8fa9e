"""The runner of packages that AOTInductor compiled, on the CPU. PyTorch loads them.

`dlas.systems.compilers.torch_inductor` writes them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from dlas.hardware.sessions.shared.numbered import numbered
from dlas.hardware.sessions.shared.on_torch import OnTorch
from dlas.interfaces.runner import OTHERS

PACKAGES = {"torch": "torch"}

FILE = "network.pt2"

COMPUTED = re.compile(
    r"^onednn_verbose,.*,exec,cpu,(?P<kind>convolution|inner_product|matmul),.*[, ]src:(?P<type>\w+):"
    r".*,(?P<sides>[^,]+),[\d.]+$",
    re.MULTILINE,
)
"""What oneDNN writes of a primitive that computed a layer: its kind, the data type of the images that it
read, and all sides of what it computed."""

DATA_TYPES = {"u8": "uint8", "s8": "int8", "f32": "float32", "f16": "float16"}
"""NumPy's names of oneDNN's data types."""

SIDE = re.compile(r"([a-z]+)(\d+)")


@dataclass(frozen=True)
class Network(OnTorch):
    """A network in a package that is loaded: machine code, with calls of PyTorch's own operators."""

    loader: Any

    def run(self, images: Any) -> Any:
        return self.loader.boxed_run([images])[0]  # it empties the list


def settings(library: Path, threads: int) -> Mapping[str, str]:
    """The threads; all else is in the package."""
    return {"torch.set_num_threads": str(threads), "run_single_threaded": "True"}


def prepare(device: str) -> None:
    """Import PyTorch, and what loads a package."""
    import torch._inductor.package  # noqa: F401


def load(library: Path, threads: int, device: str) -> Network:
    """The network in the folder's package, which one thread calls, as the name of its setting says."""
    import torch
    from torch._inductor import aoti_load_package

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return Network(aoti_load_package(os.fspath(library / FILE), run_single_threaded=True).loader)


def data_types(library: Path, threads: int, images: np.ndarray) -> Mapping[str, str]:
    """What oneDNN tells of the primitives of one run. The others are none of integers: AOTInductor has no
    other ones of these."""
    from torch.backends import mkldnn

    network = load(library, threads, "cpu")
    given = network.put(images)
    with _standard_output() as written:
        with mkldnn.verbose(mkldnn.VERBOSE_ON):  # type: ignore[no-untyped-call]
            network.run(given)
        written.seek(0)
        told = list(COMPUTED.finditer(written.read().decode()))
    names = named(_macs(primitive["kind"], primitive["sides"]) for primitive in told)
    types = [DATA_TYPES.get(primitive["type"], primitive["type"]) for primitive in told]
    return {OTHERS: "float32", **dict(zip(names, types, strict=True))}


def named(macs: Iterable[int]) -> list[str]:
    """Names of layers that compute so many multiply-accumulates each: nothing tells the network's own, and
    layers that compute as much are alike in what is asked of them."""
    return numbered(f"{count} MACs" for count in macs)


def _macs(kind: str, sides: str) -> int:
    """Multiply-accumulates of a primitive: "1x64:64x10" of a matrix multiplication, "mb1ic64oc10" of a linear
    layer, or "g16mb1_ic16oc16_ih32oh32kh3sh1dh0ph1_iw32ow32kw3sw1dw0pw1" of a convolution."""
    if kind == "matmul":
        left, right = (tuple(map(int, matrix.split("x"))) for matrix in sides.split(":")[:2])
        return prod(left) * right[-1]
    found = {name: int(side) for name, side in SIDE.findall(sides)}
    outputs = prod(found.get(name, 1) for name in ("mb", "oc", "od", "oh", "ow"))
    weights = prod(found.get(name, 1) for name in ("ic", "kd", "kh", "kw"))
    return outputs * weights // found.get("g", 1)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    """A file that has what is written to the standard output meanwhile, by libraries as well."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with TemporaryFile() as file:
            os.dup2(file.fileno(), 1)
            try:
                yield file
            finally:
                os.dup2(kept, 1)
    finally:
        os.close(kept)
