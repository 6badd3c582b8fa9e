"""The processes that build and time candidates: started once, restarted after a crash or a time-out."""

from __future__ import annotations

import importlib
import sys

from tvm.auto_scheduler import measure
from tvm.contrib.popen_pool import PopenPoolExecutor, PopenWorker
from tvm.ir.transform import PassContext

BUILD_SECONDS = 20
"""A candidate that takes LLVM longer is not worth its share of a small budget."""


def keep_processes(cores: int, import_roots: list[str]) -> None:
    """Let Ansor's measuring use the same processes all along: each costs an import of TVM to start."""
    builders = PopenPoolExecutor(cores, BUILD_SECONDS, prepare, (import_roots,))
    runner = PopenWorker(prepare, (import_roots,))
    measure.PopenPoolExecutor = lambda *_: builders
    measure.PopenWorker = lambda: runner


def prepare(import_roots: list[str]) -> None:
    """Make the project's modules importable, after this environment's own; runs first in a new process.

    TVM's elimination of common subexpressions is left out: LLVM 22 refuses the debug information that it
    gives a vector of indices, and finds common subexpressions itself.
    """
    sys.path.extend(root for root in import_roots if root not in sys.path)
    importlib.import_module("layers")
    PassContext(config={"tir.disable_cse_tir": True}).__enter__()
