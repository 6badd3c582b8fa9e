"""MetaSchedule's candidates on a board: linked here, each run by a fresh process of the board.

    exported(module, target) -> library; timed(library, arguments, target) -> RunnerResult

A candidate that crashes or hangs there costs that candidate; a board that is lost ends the search.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from dlas.hardware.timing.candidates import Failed, time_alone
from dlas.hardware.timing.single_kernels import KernelArgument
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm import linking


def exported(module: Any, target: Target) -> str:
    """The path of the compiled candidate's library."""
    library = Path(tempfile.mkdtemp(prefix="candidate-")) / "candidate.so"
    linking.export(module, target.code, target.linker, library)
    return str(library)


def timed(library: str, arguments: Sequence[Any], target: Target) -> ms.runner.RunnerResult:
    """The candidate's median time; UserError where the board is lost."""
    described = [KernelArgument(tuple(map(int, each.shape)), str(each.dtype)) for each in arguments]
    found = time_alone(Path(library), described, target)
    if isinstance(found, Failed):
        return ms.runner.RunnerResult(None, found.reason)
    return ms.runner.RunnerResult([found], None)
