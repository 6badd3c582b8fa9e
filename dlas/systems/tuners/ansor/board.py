"""Ansor's candidates on a board: searched by the worker, built here by the TVM of that board, run there.

    with bench(target) as there: there.reply({"build": [text, …]} or {"time": library, "arguments": …})

workers/ansor/elsewhere.py asks. What is timed is what a library will hold: the loops as they are carried
over. A candidate that can't be, crashes or hangs costs itself; a board that is lost ends the search.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.machine import usable_cores
from dlas.hardware.timing.candidates import Failed, time_alone
from dlas.hardware.timing.single_kernels import KernelArgument
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm import linking
from dlas.systems.tuners.ansor.carry_over import carry_over
from dlas.systems.tuners.common.building_processes import Builders


class Bench:
    """Answers the worker's questions: builds candidates here, and times them on the board."""

    def __init__(self, target: Target, folder: Path, builders: Builders) -> None:
        self._target = target
        self._folder = folder
        self._builders = builders
        self._numbers = count()

    def reply(self, question: Mapping[str, Any]) -> object:
        """The answer, as plain JSON values; UserError where the board is lost."""
        if "build" in question:
            return self._built(question["build"])
        arguments = [KernelArgument(tuple(shape), dtype) for shape, dtype in question["arguments"]]
        found = time_alone(Path(question["time"]), arguments, self._target)
        return {"failed": found.reason} if isinstance(found, Failed) else {"seconds": found}

    def _built(self, texts: Sequence[str]) -> list[dict[str, str]]:
        libraries = [self._folder / f"{next(self._numbers)}.so" for _ in texts]
        asked = [(text, self._target, library) for text, library in zip(texts, libraries, strict=True)]
        failures = self._builders.build(lambda one: build(*one), asked)
        return [
            {"library": str(library)} if failure is None else {"failed": failure.reason}
            for library, failure in zip(libraries, failures, strict=True)
        ]


@contextmanager
def bench(target: Target) -> Iterator[Bench]:
    """A bench with a process that builds for each core of this machine."""
    builders = Builders(usable_cores())
    try:
        with tempfile.TemporaryDirectory(prefix="dlas-", ignore_cleanup_errors=True) as folder:
            yield Bench(target, Path(folder), builders)
    finally:
        builders.shutdown()


def build(text: str, target: Target, library: Path) -> None:
    """Write the library of one candidate, with a function `main`; runs in a process that builds."""
    import tvm

    module = tvm.IRModule({"main": carry_over(text)})
    linking.export(tvm.compile(module, tvm_target(target.code)), target.code, target.linker, library)
