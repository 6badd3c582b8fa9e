"""The libraries of a point, by kernels that were chosen here or by those of their compiler, in its bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dlas.bundle.layout import Bundle
from dlas.hardware.sessions import runners
from dlas.hardware.targets.target_file import Runtime
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.kernels.tuning import Tuned
from dlas.stages.libraries.library import Library
from dlas.stages.program.fastest import CANDIDATES
from dlas.stages.program.lowering import Lowered
from dlas.systems.program import program
from dlas.systems.tuners import tuning


@dataclass(frozen=True)
class Batch:
    """The network built for runs of several images."""

    size: int
    library: Library
    lowered: Lowered | None = None
    """Its program; None where the compiler has kernels of its own."""


@dataclass(frozen=True)
class ChosenKernels:
    """The kernels of the network's layers, as the stages chose them."""

    lowered: Lowered
    tuned: Tuned
    kernels: Kernels


def copy_kernels(bundle: Bundle, library: Library, batches: Iterable[Batch], chosen: ChosenKernels) -> None:
    """Copy the libraries of TVM's, with the programs and the tuning log that they are made of."""
    for part in (program.PROGRAM, program.LAYERS, program.WEIGHTS):
        shutil.copy(chosen.lowered.folder / part, bundle.model / part)
    candidates = chosen.lowered.folder / CANDIDATES
    if candidates.exists():
        shutil.copy(candidates, bundle.root)
    for log in (chosen.tuned.folder / name for name in tuning.LOGS):
        if log.exists():
            shutil.copy(log, bundle.tuning)
    shutil.copy(chosen.tuned.summary, bundle.tuning)
    shutil.copy(library.path, bundle.library)
    for batch in batches:
        assert batch.lowered is not None, "kernels that were chosen are those of a program"
        shutil.copy(batch.library.path, bundle.library_of(batch.size))
        bundle.program_of(batch.size).mkdir()
        for part in (program.PROGRAM, program.LAYERS):
            shutil.copy(batch.lowered.folder / part, bundle.program_of(batch.size))


def copy_networks(bundle: Bundle, library: Library, batches: Iterable[Batch]) -> None:
    """Copy the folders of a compiler that takes whole networks."""
    for size, one in ((1, library), *((batch.size, batch.library) for batch in batches)):
        shutil.copytree(one.path, bundle.network_of(size))


def runtime(library: Library, target: Target, there: Mapping[str, str]) -> Runtime:
    """The runtime of what a compiler with kernels of its own made, with the settings for that target; `there`
    are the versions on a board elsewhere, which count before those of this machine."""
    compiler = library.runner
    settings = runners.named(compiler).settings(library.path, target.placement.threads)
    return Runtime(compiler, {**compilers.versions(compiler), **there}, dict(settings))
