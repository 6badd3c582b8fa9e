"""The network as the files of a compiler that has kernels of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dlas.hardware.targets.fitting import require_data_type, require_exact_int8, require_float16
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.models import precision
from dlas.models.graph import places
from dlas.models.graph.exporting import exported
from dlas.models.quantized import Quantized
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.stages.libraries.library import Library
from dlas.stages.stage import Stage

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.code_target import CodeTarget
    from dlas.stages.network import Network

FILES = "network"

MOST_PLACES = 3
"""Most places in a network that an error tells."""


@dataclass(frozen=True, kw_only=True)
class Convert(Stage[Library]):
    """The network given to the compiler as a whole, for so many images at once."""

    network: Network
    image_shape: tuple[int, int, int]
    batch: int
    compiler: str
    """Name of the compiler in the registry."""
    target: CodeTarget

    stage = "convert"

    def named_modules(self) -> Sequence[str]:
        return [NETWORK_COMPILERS.path(self.compiler)]

    def other_files(self) -> Sequence[Path]:
        """The system's programs that the compiler calls: another version of one is another file."""
        found = map(shutil.which, NETWORK_COMPILERS.load(self.compiler).PROGRAMS)
        return [Path(program).resolve() for program in found if program is not None]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        library = folder / FILES
        shutil.rmtree(library, ignore_errors=True)
        library.mkdir()
        shape = (self.batch, *self.image_shape)
        convert(self.network.module, shape, self.compiler, self.target, library)

    def read(self, folder: Path) -> Library:
        return Library(folder=folder, path=folder / FILES, runner=self.compiler)


def convert(
    network: nn.Module, shape: tuple[int, int, int, int], compiler: str, target: CodeTarget, library: Path
) -> ExportedProgram:
    """Have the compiler write the network for images of the shape (N, C, H, W) into the empty folder
    `library`; returns what it was given. NetworkNotTaken where it can't, which names operator and layer, or
    the data type that this compiler, or the target's CPU, does not compute in."""
    require_data_type(compiler, precision.data_type(network))
    if precision.is_float16(network):
        require_float16(compiler, target, "compression")
    if isinstance(network, Quantized):
        require_exact_int8(compiler, target, int(network.weight_bits))
    program = exported(precision.exportable(network, shape[0]), torch.zeros(shape))
    with naming_layers(program):
        NETWORK_COMPILERS.load(compiler).convert(program, target, library)
    return program


@contextmanager
def naming_layers(program: ExportedProgram) -> Iterator[None]:
    """Have a NetworkNotTaken tell in which layers the operators are that it names."""
    try:
        yield
    except NetworkNotTaken as error:
        found = places.of_operators(program, error.problem)
        if not found:
            raise
        problem = f"{error.problem}: {_told(found)}"
        raise NetworkNotTaken(problem, key=error.key, remedy=error.remedy) from error


def _told(found: Sequence[str]) -> str:
    shown, left = ", ".join(found[:MOST_PLACES]), len(found) - MOST_PLACES
    return f"{shown}, and {left} more" if left > 0 else shown
